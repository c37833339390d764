"""Former name of advisers (`routing`) and judge reports (`evaluation`), kept for older programs."""

from cascade_engine.answers.scores import *  # noqa: F403
from cascade_engine.evaluation.judge_report import *  # noqa: F403
from cascade_engine.routing.advisers import *  # noqa: F403
from cascade_engine.routing.recorded_advice import *  # noqa: F403
