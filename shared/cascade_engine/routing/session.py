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

import math
from asyncio import CancelledError
from dataclasses import replace
from itertools import compress
from operator import or_
from typing import TYPE_CHECKING

from cascade_engine.answers.text import full_text
from cascade_engine.core.records import Answer, Call, Query
from cascade_engine.core.trace import Decision, Failure, Trace
from cascade_engine.errors import (
    AllModelsFailedError,
    DataError,
    InvalidAnswerError,
    SessionStateError,
    StreamClosedError,
)
from cascade_engine.routing.limits import Cap, barred
from cascade_engine.routing.live_advice import Counsel, told
from cascade_engine.strategies import STOP

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cascade_engine.estimators import Following
    from cascade_engine.routing.decider import Decider

__all__ = ["Session"]


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
        self._following: Following | None = None
        self._expected_cost = decider.cost.predict_one(query)
        self._run = [False] * len(decider.models)  # whose answers are in the evidence
        self._barred = barred(decider.models, only)
        self._answers: dict[str, Answer] = {}
        self._costs: dict[str, float | None] = {}
        self._failures: list[Failure] = []
        self._decisions: list[Decision] = []
        self._chosen: str | None = None
        self._draft: str | None = None  # an answer that is not yet in the evidence
        self._further: Sequence[bool] = []  # models that may run after the pending call
        self._cap = Cap(max_cost, decider.models, self._expected_cost, self._barred)
        self._counsel = Counsel(decider.advising, decider.charge)
        if decider.advising is not None and not decider.strategy.is_blind:
            self._further = self._available(self._run, self._left())
            if sum(self._further) > 1:
                self._counsel.on_query(query)
        self._pending = self._advance()

    @property
    def pending(self) -> Call | None:
        """The call to make now; None once the session has ended."""
        return self._pending

    def answer(self, answer: Answer) -> None:
        """Reports the pending call's answer.

        Raises:
            DataError: it is no `Answer`.
            SessionStateError: no call is pending.
        """
        call = self._take()
        if not isinstance(answer, Answer):
            raise DataError(
                f"{call.model!r} is said to have answered {answer!r:.80}: give an Answer(text, ...)"
            )
        if call.is_advice:
            self._heard(call, answer)
        else:
            self._answers[call.model] = answer
            self._costs[call.model] = self._decider.charge(call.model, answer)
            self._draft = call.model
            if not call.final and any(self._further):
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
            self._barred[self._decider.models.index(call.model)] = True
        self._pending = self._advance()

    def interrupt(
        self, error: BaseException, partial: Answer | None = None, *, seconds: float | None = None
    ) -> None:
        """Reports that an answer broke off after part of it was shown, and ends the session.

        No other answer can take its place then. What was written is charged, by its usage.

        Args:
            error: what broke it off. Where its reader did, which in Python is a `GeneratorExit` or
                a `CancelledError`, a `StreamClosedError` is put on record.
            partial: the pending answer so far.
            seconds: latency, where measured.

        Raises:
            SessionStateError: no call is pending, or one for advice, which is shown to nobody.
        """
        call = self._take()
        if call.is_advice:
            raise SessionStateError(f"nobody is shown what {call.model!r} says: report a failure")
        if isinstance(error, GeneratorExit | CancelledError):
            error = StreamClosedError("the stream was closed before the answer was complete")
        cost = None if partial is None else self._decider.charge(call.model, partial)
        self._failures.append(Failure(call.model, error, seconds, partial, cost))
        self._barred = [True] * len(self._barred)
        reason = f"the answer of {call.model} broke off after part of it was shown"
        self._decisions.append(replace(self.decision, action=None, final=False, reason=reason))
        self._pending = None

    def _failure(self, model: str, error: BaseException, seconds: float | None) -> Failure:
        """A failure; where there was an answer that cannot be used, with what it cost."""
        if not isinstance(error, InvalidAnswerError):
            return Failure(model, error, seconds)
        answer = error.answer
        seconds = seconds if answer.seconds is None else answer.seconds
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
            left = [m for m, no in zip(self._decider.models, self._barred, strict=True) if not no]
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
            answer = replace(answer, samples=(*answer.samples, full_text(reply)))
        self._answers[call.about] = answer

    def _advance(self) -> Call | None:
        """The next call: of an adviser or for a sample while any is due, else what is decided."""
        answer = None if self._draft is None else self._answers[self._draft]
        left = self._left()
        call = self._counsel.next(self._query, answer, left, self._spare(left))
        if call is not None:
            return call
        if self._following is None:
            self._following = self._decider.quality.follow(self._query)
        if self._draft is not None and answer is not None:
            column = self._decider.models.index(self._draft)
            self._following.observe(column, self._counsel.seen(self._draft, answer))
            self._run[column] = True
            self._draft = None
        return self._decide(self._following)

    def _spare(self, left: float | None) -> float | None:
        """What may be spent on advice: all but the least that a further model costs."""
        if left is None:
            return None
        return left - min(compress(self._expected_cost, self._further), default=math.inf)

    def _left(self) -> float | None:
        if not self._cap.is_set:
            return None
        paid = [*self._costs.items(), *((each.model, each.cost) for each in self._failures)]
        return self._cap.left(paid, self._counsel.spent)

    def _available(self, run: Sequence[bool], left: float | None) -> list[bool]:
        """Which models may still run, by what is left of a hard cap."""
        states = zip(run, self._barred, self._expected_cost, strict=True)
        return [not (ran or no) and (left is None or cost <= left) for ran, no, cost in states]

    def _decide(self, following: Following) -> Call | None:
        """One turn: renews the estimates, asks the strategy, records why."""
        decider, run, left = self._decider, self._run, self._left()
        available = self._available(run, left)
        believed = decider.believed(following, run, self._expected_cost)
        exhausted = not any(available)
        action = STOP if exhausted else decider.action(believed, run, available, self._lam)
        call = None
        if action != STOP:
            final = decider.strategy.is_final(run, available, action)
            self._further = decider.strategy.reachable(run, available, action)
            call = Call(decider.models[action], final, left)
        elif self._answers:
            self._chosen = decider.models[decider.strategy.choose_one(*believed, run=run)]
        reason = self._reason(believed.quality, call, exhausted=exhausted)
        self._decisions.append(decider.recorded(believed, tuple(self._answers), call, reason))
        return call

    def _reason(self, quality: Sequence[float], call: Call | None, *, exhausted: bool) -> str:
        words, models = self._decider.rule, self._decider.models
        if call:
            step = "first choice" if not self._answers else "worth escalating to"
            expected = quality[models.index(call.model)]
            return f"{call.model} is {step} {words}, expected quality {expected:.2f}"
        if self._chosen is None:
            return "no model is left that could answer"
        held = f"{self._chosen} is estimated at {quality[models.index(self._chosen)]:.2f}"
        if not exhausted:
            return f"{held} and no further model is worth its cost {words}"
        if all(map(or_, self._run, self._barred)):
            return f"{held} and no other model is left to run"
        return f"{held} and no further model fits under the query's limit"
