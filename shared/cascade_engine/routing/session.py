"""One query's conversation with the engine: a state machine that does no I/O.

```
             ┌────────────── answer / fail ──────────────┐
             v                                           │
  start ─> advice ── advice or a sample is due ──> pending Call
             │                                           ^
             v                                           │
           decide ── a model is worth running ───────────┘
             │
             ├── stop, with an answer ──────────> result: the best answer
             └── no model left, no answer ──────> result: AllModelsFailedError
```

A session says which call to make (`pending`); whoever drives it makes the call and reports what
came of it. It obeys ten rules, and the code below refers to them by number.

Rule 1, one call. At most one call is pending. It is answered (`answer`), failed (`fail`) or broken
    off (`interrupt`), and only then is the next one decided. Once no call is pending, the session
    has ended.
Rule 2, the decision. The strategy decides on estimates that are renewed with every answer. It
    chooses among the *available* models: those that have not answered, are not excluded, and fit
    under the cap (Rule 7).
Rule 3, failure. A model that fails is excluded from then on, and the strategy decides again as if
    it were not there. That it failed says nothing about the other models. Where there was an answer
    that cannot be used (`InvalidAnswerError`), it is paid for and is no evidence.
Rule 4, final calls. A call is *final* where no decision could follow its answer, and no other
    answer could be chosen instead, so that it will be returned whatever it says. Only a final
    answer may be shown while it is being written. Any other answer is a *draft*. If a final call
    fails, Rule 3 holds as for any other.
Rule 5, advice. Routers are asked about the query before the first decision, where two models or
    more are available and the strategy looks at the query at all. Samples of a model, and then
    judges, are asked about a draft before the decision that follows it, where a further model could
    run. A signal or sample that the query or the answer carries already is not asked for again.
Rule 6, silence. An adviser that fails, or whose reply cannot be read, changes nothing but the
    record: its signal is unknown.
Rule 7, the hard cap. With `max_cost`, no model runs whose expected cost exceeds what is left, and
    nobody is asked for advice who would leave too little for the cheapest model that could still
    run. A call of unknown cost counts as what it was expected to cost.
Rule 8, the end. When the strategy stops, or no model is available, it chooses among the answers
    that came. If there is none, `result` raises every model's own error.
Rule 9, interruption. An answer of which a part was shown can be replaced by no other. If it breaks
    off, the session ends without a result, and what was written is paid for by its usage.
Rule 10, the record. `trace` holds every decision with the estimates behind it, every answer and
    failure with its cost, and all advice. It can be read at any time.
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
from cascade_engine.routing.advisers import add_advice
from cascade_engine.routing.limits import Cap, excluded_models
from cascade_engine.routing.live_advice import LiveAdvice
from cascade_engine.strategies import STOP

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cascade_engine.estimators import Following
    from cascade_engine.routing.decider import Decider, QueryEstimates

__all__ = ["Session"]


class Session:
    """Says which call to make for one query, and takes the report of what came of it.

    `CascadeRouter.session` makes it. A session serves one query and one thread.

    Args:
        decider: the estimators, the strategy and the prices to decide by.
        query: the query.
        lam: the strategy's lambda, the price of cost in units of quality, for this query.
        budget: expected cost per query that `lam` was chosen for; recorded only.
        max_cost: hard cap on this query's cost, in the unit of the costs (Rule 7); None for no cap.
        only: names of the models that may run; all by default.

    Raises:
        ConfigurationError: `only` is empty, or names an unknown model.
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
        self._observed = [False] * len(decider.models)  # whose answers the estimates rest on
        self._excluded = excluded_models(decider.models, only)
        self._answers: dict[str, Answer] = {}
        self._costs: dict[str, float | None] = {}
        self._failures: list[Failure] = []
        self._decisions: list[Decision] = []
        self._chosen: str | None = None
        self._draft: str | None = None  # whose answer the estimates do not rest on yet
        self._successors: Sequence[bool] = []  # models that could run after the pending call
        self._cap = Cap(max_cost, decider.models, self._expected_cost, self._excluded)
        self._advice = LiveAdvice(decider.advising, decider.charge)
        if decider.advising is not None and not decider.strategy.is_blind:  # Rule 5
            # Advice has to leave enough for whoever could run first (Rule 7), who is not known yet.
            self._successors = self._available(self._observed, self._left())
            if sum(self._successors) > 1:
                self._advice.queue_routers(query)
        self._pending = self._advance()

    @property
    def pending(self) -> Call | None:
        """The call to make now (Rule 1); None once the session has ended."""
        return self._pending

    def answer(self, answer: Answer) -> None:
        """Reports the pending call's answer.

        Raises:
            DataError: `answer` is no `Answer`.
            SessionStateError: no call is pending.
        """
        call = self._require_pending()
        if not isinstance(answer, Answer):
            raise DataError(
                f"{call.model!r} is said to have answered {answer!r:.80}: give an Answer(text, ...)"
            )
        if call.is_advice:
            self._add_advice(call, answer)
        else:
            self._answers[call.model] = answer
            self._costs[call.model] = self._decider.charge(call.model, answer)
            self._draft = call.model
            if not call.final and any(self._successors):  # Rule 5
                self._advice.queue_about(call.model, answer)
        self._pending = self._advance()

    def fail(self, error: BaseException, *, seconds: float | None = None) -> None:
        """Reports that the pending call raised (Rule 3; for advice and samples Rule 6).

        Args:
            error: what the call raised.
            seconds: latency, where measured.

        Raises:
            SessionStateError: no call is pending.
        """
        call = self._require_pending()
        if call.is_advice:
            self._advice.fail(call, error, seconds)
        else:
            self._failures.append(self._failure(call.model, error, seconds))
            self._excluded[self._decider.models.index(call.model)] = True
        self._pending = self._advance()

    def interrupt(
        self, error: BaseException, partial: Answer | None = None, *, seconds: float | None = None
    ) -> None:
        """Reports that an answer broke off after part of it was shown; ends the session (Rule 9).

        Args:
            error: what broke it off. A reader who stops reading, which Python reports as a
                `GeneratorExit` or a `CancelledError`, is recorded as a `StreamClosedError`.
            partial: the part that was written, with its usage.
            seconds: latency, where measured.

        Raises:
            SessionStateError: no call is pending, or the pending call is for advice, which nobody
                is shown.
        """
        call = self._require_pending()
        if call.is_advice:
            raise SessionStateError(f"nobody is shown what {call.model!r} says: report a failure")
        if isinstance(error, GeneratorExit | CancelledError):
            error = StreamClosedError("the stream was closed before the answer was complete")
        cost = None if partial is None else self._decider.charge(call.model, partial)
        self._failures.append(Failure(call.model, error, seconds, partial, cost))
        self._excluded = [True] * len(self._excluded)  # so that no cap is blamed for their silence
        reason = f"the answer of {call.model} broke off after part of it was shown"
        self._decisions.append(replace(self.decision, action=None, final=False, reason=reason))
        self._pending = None

    def _failure(self, model: str, error: BaseException, seconds: float | None) -> Failure:
        """The record of a failure; with the cost of an answer that cannot be used (Rule 3)."""
        if not isinstance(error, InvalidAnswerError):
            return Failure(model, error, seconds)
        answer = error.answer
        seconds = seconds if answer.seconds is None else answer.seconds
        return Failure(model, error, seconds, answer, self._decider.charge(model, answer))

    @property
    def decision(self) -> Decision:
        """The last decision, with its reason.

        Raises:
            SessionStateError: nothing is decided yet, because advice on the query comes first.
        """
        if not self._decisions:
            raise SessionStateError("nothing was decided yet: advice is asked for first")
        return self._decisions[-1]

    @property
    def result(self) -> Answer:
        """The answer to return (Rule 8).

        Raises:
            SessionStateError: a call is still pending.
            AllModelsFailedError: no model answered; it carries every model's own error.
        """
        if self._pending is not None:
            raise SessionStateError(f"the call to {self._pending.model!r} is still pending")
        if self._chosen is None:
            over_cap = [
                m for m, out in zip(self._decider.models, self._excluded, strict=True) if not out
            ]
            capped = f"{over_cap} cost more than is left of max_cost" if over_cap else ""
            raise AllModelsFailedError({f.model: f.error for f in self._failures}, capped)
        return self._answers[self._chosen]

    @property
    def trace(self) -> Trace:
        """The record so far (Rule 10)."""
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
            advice=tuple(self._advice.record),
        )

    def _require_pending(self) -> Call:
        if self._pending is None:
            raise SessionStateError("no call is pending: the session has ended")
        return self._pending

    def _add_advice(self, call: Call, reply: Answer) -> None:
        """Adds an adviser's signals, or a sample, to the query or answer that they are about."""
        advice = self._advice.take(call, reply)
        paid = {} if advice.cost is None else {advice.name: advice.cost}
        if call.about is None:
            self._query = add_advice(self._query, advice.signals, paid)
            return
        answer = add_advice(self._answers[call.about], advice.signals, paid)
        if call.purpose == "sample":
            answer = replace(answer, samples=(*answer.samples, full_text(reply)))
        self._answers[call.about] = answer

    def _advance(self) -> Call | None:
        """The next call: for advice while any is due (Rule 5), else what is decided (Rule 2)."""
        draft = None if self._draft is None else self._answers[self._draft]
        left = self._left()
        call = self._advice.next_call(self._query, draft, left, self._spare(left))
        if call is not None:
            return call
        # The estimator starts on the query only now, with what routers said of it.
        if self._following is None:
            self._following = self._decider.quality.follow(self._query)
        if self._draft is not None and draft is not None:
            column = self._decider.models.index(self._draft)
            self._following.observe(column, self._advice.trim(self._draft, draft))
            self._observed[column] = True
            self._draft = None
        return self._decide(self._following)

    def _spare(self, left: float | None) -> float | None:
        """What may be spent on advice (Rule 7): all but the cheapest successor's expected cost."""
        if left is None:
            return None
        return left - min(compress(self._expected_cost, self._successors), default=math.inf)

    def _left(self) -> float | None:
        """What is left of the hard cap (Rule 7); None without one."""
        if not self._cap.is_set:
            return None
        failed = ((failure.model, failure.cost) for failure in self._failures)
        return self._cap.left([*self._costs.items(), *failed], self._advice.spent)

    def _available(self, run: Sequence[bool], left: float | None) -> list[bool]:
        """Which models may run next (Rule 2), by what is left of the cap (Rule 7)."""
        states = zip(run, self._excluded, self._expected_cost, strict=True)
        return [not (ran or out) and (left is None or cost <= left) for ran, out, cost in states]

    def _decide(self, following: Following) -> Call | None:
        """One turn (Rule 2): renews the estimates, asks the strategy, records its decision."""
        decider, run, left = self._decider, self._observed, self._left()
        available = self._available(run, left)
        estimates = decider.estimates(following, run, self._expected_cost)
        exhausted = not any(available)
        action = STOP if exhausted else decider.action(estimates, run, available, self._lam)
        call = None
        if action != STOP:
            final = decider.strategy.is_final(run, available, action)  # Rule 4
            self._successors = decider.strategy.reachable(run, available, action)
            call = Call(decider.models[action], final, left)
        elif self._answers:  # Rule 8
            self._chosen = decider.models[decider.strategy.choose_one(*estimates, run=run)]
        reason = self._reason(estimates, call, exhausted=exhausted)
        self._decisions.append(decider.record(estimates, tuple(self._answers), call, reason))
        return call

    def _reason(self, estimates: QueryEstimates, call: Call | None, *, exhausted: bool) -> str:
        """Why the call is made, or why none is, in words for the record."""
        rule, models, quality = self._decider.rule, self._decider.models, estimates.quality
        if call:
            step = "first choice" if not self._answers else "worth escalating to"
            expected = quality[models.index(call.model)]
            return f"{call.model} is {step} {rule}, expected quality {expected:.2f}"
        if self._chosen is None:
            return "no model is left that could answer"
        choice = f"{self._chosen} is estimated at {quality[models.index(self._chosen)]:.2f}"
        if not exhausted:
            return f"{choice} and no further model is worth its cost {rule}"
        if all(map(or_, self._observed, self._excluded)):
            return f"{choice} and no other model is left to run"
        return f"{choice} and no further model fits under the query's limit"
