"""One query, and the router that learned how to answer it.

`CascadeRouter` fits estimators and a strategy to complete data, or decides by a simple rule before
that, and opens a `Session` for each query. A session says which call to make next and takes what
came of it; its rules are at the top of `session`. `drive` and `adrive` run a session to its end.
`ChatJudge` and `ChatRouter` are chat models that advise it (`live_advice`); `advise` asks them
about a data set (`recorded_advice`). `decider` joins estimators and strategy for one query,
`limits` has the hard cap, `samples` asks a model again, `fit_data` and `fit_summary` keep what a
fit was made on, and `persistence` saves and loads.
"""

from cascade_engine.routing.advisers import (
    Adviser,
    ChatJudge,
    ChatRouter,
    judge_prompt,
    router_prompt,
    yes_no_prompt,
)
from cascade_engine.routing.decider import UNFITTED_THRESHOLD
from cascade_engine.routing.drive import Attempt, adrive, attempt, drive
from cascade_engine.routing.fit_summary import FittingSummary
from cascade_engine.routing.recorded_advice import aadvise, advise
from cascade_engine.routing.router import CascadeRouter
from cascade_engine.routing.session import Session

__all__ = [
    "UNFITTED_THRESHOLD",
    "Adviser",
    "Attempt",
    "CascadeRouter",
    "ChatJudge",
    "ChatRouter",
    "FittingSummary",
    "Session",
    "aadvise",
    "adrive",
    "advise",
    "attempt",
    "drive",
    "judge_prompt",
    "router_prompt",
    "yes_no_prompt",
]
