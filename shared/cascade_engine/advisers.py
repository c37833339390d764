"""Chat models that advise the cascade: judges of answers, and routers that see only the query.

An adviser is one more signal, paid for by the call. `advise` asks it about a labelled data set,
`judge_report` says how good it is there, and a fit of `CascadeRouter(..., advisers=[...])` learns
how far to trust it, next to everything else that is known. Sessions then ask it live.
"""

from cascade_engine._advice import aadvise, advise
from cascade_engine._advisers import (
    ChatJudge,
    ChatRouter,
    judge_prompt,
    router_prompt,
    yes_no_prompt,
)
from cascade_engine._judge_report import JudgedModel, JudgeReport, judge_report
from cascade_engine._scores import read_score, read_scores

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
