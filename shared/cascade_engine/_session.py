"""One query's conversation with the engine. The only state machine, and it does no I/O.

```
             ┌────────────── answer / fail ──────────────┐
             v                                           │
  start ─> advice ── advice or a sample is due ──> pending Call
             │                                           ^
             v                                           │
           decide ── a model is worth running ───────────┘
             │
             ├── stop, an answer is held ───────> result: the best answer
             └── no model left, no answer ──────> result: AllModelsFailedError
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cascade_engine._counsel import Counsel, told
from cascade_engine._driving import adrive, drive
from cascade_engine._labelling import said
from cascade_engine._limits import Cap, barred
from cascade_engine._registry import persistent
from cascade_engine._trace import Decision, Failure, Trace
from cascade_engine._types import Answer, Call, Query
from cascade_engine.errors import (
    AllModelsFailedError,
    InvalidAnswerError,
    SessionStateError,
)
from cascade_engine.estimators import Estimates
from cascade_engine.strategies import STOP

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cascade_engine._arrays import BoolArray, FloatArray
    from cascade_engine._costs import Charge
    from cascade_engine._counsel import Advising
    from cascade_engine.estimators import CostEstimator, QualityEstimator
    from cascade_engine.strategies import Strategy

__all__ = ["Decider", "Session", "adrive", "drive"]


@persistent("Decider")
@dataclass(frozen=True, slots=True)
class Decider:
    """Everything a session decides by; shared by all sessions of a router, never changed."""

    models: tuple[str, ...]
    quality: QualityEstimator
    cost: CostEstimator
    strategy: Strategy
    charge: Charge
    fitted: bool
    advising: Advising | None = None


class Session:
    """Says what to run for one query, and is told what came of it.

    Made by `CascadeRouter.session`. Not for sharing between threads: one query, one session.

    Args:
        decider: what to decide by.
        query: what is asked.
        lam: the strategy's lambda for this query.
        budget: expected cost aimed at; recorded only.
        max_cost: hard cap on this query's cost: no model runs whose expected cost would exceed
            what is left of it, and no adviser or sample is asked for that would leave too little
            for a model.
        only: the models that may run, all by default.

    Raises:
        ConfigurationError: `only` is empty, or names a model that is not there.
        InfeasibleBudgetError: no model fits under `max_cost`.
        UnknownPriceError: there is a cap, and a model without a known price.
    """

    def __init__(
        self,
        decider: Decider,
        query: Query,
        *,
        lam: float,
        budget: float | None = None,
        max_cost: float | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._decider = decider
        self._query = query
        self._lam = lam
        self._budget = budget
        self._evidence: Any = None
        self._expected_cost: FloatArray = decider.cost.predict([query])
        self._run: BoolArray = np.zeros((1, len(decider.models)), dtype=bool)
        self._barred = barred(decider.models, only)
        self._answers: dict[str, Answer] = {}
        self._costs: dict[str, float | None] = {}
        self._failures: list[Failure] = []
        self._decisions: list[Decision] = []
        self._chosen: str | None = None
        self._draft: str | None = None  # an answer that is not yet in the evidence
        self._further = ~self._barred[0]  # models that may run after the pending call
        self._cap = Cap(max_cost, decider.models, self._expected_cost[0], self._barred[0])
        self._counsel = Counsel(decider.advising, decider.charge)
        if not decider.strategy.is_blind:
            self._counsel.on_query(query)
        self._pending = self._advance()

    @property
    def pending(self) -> Call | None:
        """The call to make now; None once the session has ended."""
        return self._pending

    def answer(self, answer: Answer) -> None:
        """Reports the pending call's answer.

        Raises:
            SessionStateError: no call is pending.
        """
        call = self._take()
        if call.is_advice:
            self._heard(call, answer)
        else:
            self._answers[call.model] = answer
            self._costs[call.model] = self._decider.charge(call.model, answer)
            self._draft = call.model
            if not call.final and self._further.any():
                self._counsel.on_answer(call.model, answer)
        self._pending = self._advance()

    def fail(self, error: BaseException, *, seconds: float | None = None) -> None:
        """Reports that the pending call raised: its model leaves the action set.

        An adviser's failure, or a sample's, changes nothing but the record: what it would have said
        is unknown.

        Raises:
            SessionStateError: no call is pending.
        """
        call = self._take()
        if call.is_advice:
            self._counsel.failed(call, error, seconds)
        else:
            self._failures.append(self._failure(call.model, error, seconds))
            self._barred[0, self._decider.models.index(call.model)] = True
        self._pending = self._advance()

    def _failure(self, model: str, error: BaseException, seconds: float | None) -> Failure:
        """A failure; where there was an answer that cannot be used, with what it cost."""
        if not isinstance(error, InvalidAnswerError):
            return Failure(model, error, seconds)
        answer = error.answer
        seconds = answer.seconds if seconds is None else seconds
        return Failure(model, error, seconds, answer, self._decider.charge(model, answer))

    @property
    def decision(self) -> Decision:
        """What was decided last, and why.

        Raises:
            SessionStateError: an adviser is to be asked first, and nothing was decided yet.
        """
        if not self._decisions:
            raise SessionStateError("nothing was decided yet: advice is asked for first")
        return self._decisions[-1]

    @property
    def result(self) -> Answer:
        """The answer to return.

        Raises:
            SessionStateError: a call is still pending.
            AllModelsFailedError: no model answered; it carries every model's own error.
        """
        if self._pending is not None:
            raise SessionStateError(f"the call to {self._pending.model!r} is still pending")
        if self._chosen is None:
            left = [
                m for m, no in zip(self._decider.models, self._barred[0], strict=True) if not no
            ]
            capped = f"{left} cost more than is left of max_cost" if left else ""
            raise AllModelsFailedError({f.model: f.error for f in self._failures}, capped)
        return self._answers[self._chosen]

    @property
    def trace(self) -> Trace:
        """The record so far."""
        return Trace(
            query=self._query,
            strategy=self._decider.strategy.name,
            fitted=self._decider.fitted,
            setting=self._decider.strategy.setting(self._lam),
            budget=self._budget,
            decisions=tuple(self._decisions),
            answers=dict(self._answers),
            failures=tuple(self._failures),
            costs=dict(self._costs),
            chosen=self._chosen,
            advice=tuple(self._counsel.advice),
        )

    def _take(self) -> Call:
        if self._pending is None:
            raise SessionStateError("no call is pending: the session has ended")
        return self._pending

    def _heard(self, call: Call, reply: Answer) -> None:
        """Keeps what an adviser said, or a sample, where the estimators look for it."""
        advice = self._counsel.heard(call, reply)
        paid = {} if advice.cost is None else {advice.name: advice.cost}
        if call.about is None:
            self._query = told(self._query, advice.signals, paid)
            return
        answer = told(self._answers[call.about], advice.signals, paid)
        if call.purpose == "sample":
            answer = replace(answer, samples=(*answer.samples, said(reply)))
        self._answers[call.about] = answer

    def _advance(self) -> Call | None:
        """The next call: of an adviser or for a sample while any is due, else what is decided."""
        answer = None if self._draft is None else self._answers[self._draft]
        left = self._left()
        call = self._counsel.next(self._query, answer, left, self._spare(left))
        if call is not None:
            return call
        if self._evidence is None:
            self._evidence = self._decider.quality.begin([self._query])
        if self._draft is not None and answer is not None:
            column = self._decider.models.index(self._draft)
            seen = self._counsel.seen(self._draft, answer)
            self._decider.quality.observe(self._evidence, column, [seen])
            self._run[0, column] = True
            self._draft = None
        return self._decide()

    def _spare(self, left: float | None) -> float | None:
        """What may be spent on advice: all but the least that a further model costs."""
        if left is None:
            return None
        return left - float(self._expected_cost[0, self._further].min(initial=np.inf))

    def _left(self) -> float | None:
        paid = self._costs | {each.model: each.cost for each in self._failures}
        return self._cap.left(paid, self._counsel.spent)

    def _decide(self) -> Call | None:
        """One turn: renews the estimates, asks the strategy, records why."""
        left = self._left()
        available = ~self._run & ~self._barred
        if left is not None:
            available &= self._expected_cost <= left
        quality, sd = self._decider.quality.estimate(self._evidence, self._run)
        strategy = self._decider.strategy
        cost = self._expected_cost
        if self._decider.advising is not None:
            cost = cost + self._decider.advising.surcharge(strategy)
        correlation = self._decider.quality.correlation(self._run)
        estimates = Estimates.of(quality, sd, cost, correlation)
        action = self._action(estimates, available) if available.any() else STOP
        call = None
        if action != STOP:
            final = strategy.is_final(self._run[0], available[0], action)
            self._further = strategy.reachable(self._run[0], available[0], action)
            call = Call(self._decider.models[action], final, left)
        elif self._run.any():
            self._chosen = self._decider.models[int(strategy.choose(estimates, self._run)[0])]
        self._record(estimates, call, exhausted=not available.any())
        return call

    def _action(self, estimates: Estimates, available: BoolArray) -> int:
        """What the strategy does; by plain numbers, unless there is a covariance to heed."""
        strategy = self._decider.strategy
        lam = self._lam * strategy.factor(len(self._answers))
        if estimates.cov is not None:
            return int(strategy.decide(estimates, self._run, available, np.array([lam]))[0])
        return strategy.decide_one(
            estimates.quality[0].tolist(),
            estimates.sd[0].tolist(),
            estimates.cost[0].tolist(),
            run=self._run[0].tolist(),
            available=available[0].tolist(),
            lam=lam,
        )

    def _record(self, estimates: Estimates, call: Call | None, *, exhausted: bool) -> None:
        models = self._decider.models
        quality = dict(zip(models, estimates.quality[0].tolist(), strict=True))
        costs = estimates.cost[0].tolist()
        self._decisions.append(
            Decision(
                after=tuple(self._answers),
                quality=quality,
                sd=dict(zip(models, estimates.sd[0].tolist(), strict=True)),
                cost={m: None if np.isnan(c) else c for m, c in zip(models, costs, strict=True)},
                action=call.model if call else None,
                final=bool(call and call.final),
                reason=self._reason(quality, call, exhausted=exhausted),
            )
        )

    def _reason(self, quality: Mapping[str, float], call: Call | None, *, exhausted: bool) -> str:
        words = f"by {self._decider.strategy.name}"
        if not self._decider.fitted:
            words = "by the conservative log-probability rule (not fitted)"
        if call:
            step = "first choice" if not self._answers else "worth escalating to"
            return f"{call.model} is {step} {words}, expected quality {quality[call.model]:.2f}"
        if self._chosen is None:
            return "no model is left that could answer"
        held = f"{self._chosen} is estimated at {quality[self._chosen]:.2f}"
        if not exhausted:
            return f"{held} and no further model is worth its cost {words}"
        if (self._run | self._barred).all():
            return f"{held} and no other model is left to run"
        return f"{held} and no further model fits under the hard cap"
