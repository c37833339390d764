"""Chat models that advise the cascade: judges of answers, and routers that see only the query.

An adviser is one more signal, paid for by the call. `advise` asks it about a labelled data set,
`judge_report` says how good it is there, and a fit of `CascadeRouter(..., advisers=[...])` learns
how far to trust it, next to everything else that is known. Sessions then ask it live.
"""

from cascade_engine.answers.scores import read_score, read_scores
from cascade_engine.evaluation.judge_report import JudgedModel, JudgeReport, judge_report
from cascade_engine.routing.advisers import (
    ChatJudge,
    ChatRouter,
    judge_prompt,
    router_prompt,
    yes_no_prompt,
)
from cascade_engine.routing.recorded_advice import aadvise, advise

__all__ = [
    "ChatJudge",
    "ChatRouter",
    "JudgeReport",
    "JudgedModel",
    "aadvise",
    "advise",
    "judge_prompt",
    "judge_report",
    "read_score",
    "read_scores",
    "router_prompt",
    "yes_no_prompt",
]
