"""The former name of `cascade_engine.answers.graders`, kept for programs that use it."""

from cascade_engine.answers.graders import *  # noqa: F403
