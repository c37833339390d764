"""The former name of `cascade_engine.data.importers`, kept for programs that use it."""

from cascade_engine.data.importers import *  # noqa: F403
