"""The former name of `cascade_engine.answers.provider_reports`, kept for programs that use it."""

from cascade_engine.answers.provider_reports import *  # noqa: F403
