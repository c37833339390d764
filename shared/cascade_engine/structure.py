"""The former name of `cascade_engine.answers.structure`, kept for programs that use it."""

from cascade_engine.answers.structure import *  # noqa: F403
