"""Advice and samples in a session: whom to ask next, what they replied, and what that cost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from cascade_engine.core.records import Call
from cascade_engine.core.trace import Advice
from cascade_engine.routing.advisers import Adviser
from cascade_engine.routing.samples import Sampler, samplers, without_samples
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Answer, Purpose, Query
    from cascade_engine.strategies import Strategy

__all__ = ["AdvicePlan", "LiveAdvice"]

#: Whom a session asks for itself, and not for the user: an adviser, or a model once more.
Source: TypeAlias = Adviser | Sampler


@persistent("Advising", version=2, upgrade=without_samples)
@dataclass(frozen=True)
class AdvicePlan:
    """Whom a fitted router's sessions ask for advice, and what that is expected to cost.

    Attributes:
        advisers: in the order in which they are asked.
        cost: mean cost of one call of each adviser, and of one sample of each model, by name.
        judging: mean cost of all judges and samples about an answer of each model; shape (k,).
        samples: how many samples are asked of which model.
    """

    advisers: tuple[Adviser, ...]
    cost: Mapping[str, float]
    judging: FloatArray
    samples: Mapping[str, int] = field(default_factory=dict)

    def surcharge(self, strategy: Strategy) -> FloatArray | float:
        """What a strategy should add to each model's cost; 0 where it asks one model only.

        A query's last answer is neither judged nor sampled, but nobody knows beforehand which that
        will be. So every answer counts as a draft, and a last step looks a little dearer than it
        is to a strategy that may escalate.
        """
        return 0.0 if strategy.max_depth == 1 else self.judging


class LiveAdvice:
    """The advice on one query: who is still to be asked, and what was replied.

    Args:
        plan: whom to ask; None to ask nobody.
        charge: what a call did cost.

    Attributes:
        record: all advice so far, in order.
        spent: its cost, in the unit of the costs; a call of unknown cost counts as expected.
    """

    def __init__(self, plan: AdvicePlan | None, charge: Charge) -> None:
        self._advisers: tuple[Adviser, ...] = ()
        self._samplers: dict[str, Sampler] = {}
        self._sources: dict[str, Source] = {}
        self._expected: Mapping[str, float] = {}
        if plan is not None:
            self._advisers, self._expected = plan.advisers, plan.cost
            self._samplers = {sampler.name: sampler for sampler in samplers(plan.samples)}
            self._sources = {a.name: a for a in self._advisers} | self._samplers
        self._charge = charge
        self._queue: deque[tuple[Source, str | None]] = deque()
        self.record: list[Advice] = []
        self.spent = 0.0

    def queue_routers(self, query: Query) -> None:
        """Puts routers into the queue, save those whose signals the query has."""
        self._queue.extend((adviser, None) for adviser in self._missing("route", query))

    def queue_about(self, model: str, answer: Answer) -> None:
        """Puts the samples that an answer lacks into the queue, then the judges that it lacks.

        Args:
            model: the model that answered.
            answer: its answer.
        """
        if sampler := self._samplers.get(model):
            self._queue.extend([(sampler, model)] * sampler.due(answer))
        self._queue.extend((adviser, model) for adviser in self._missing("judge", answer))

    def _missing(self, purpose: Purpose, record: Query | Answer) -> Iterator[Adviser]:
        """Advisers of whom a query or an answer has no signal."""
        for adviser in self._advisers:
            if adviser.purpose == purpose and not any(
                name in record.signals for name in adviser.signals
            ):
                yield adviser

    def trim(self, model: str, answer: Answer) -> Answer:
        """The answer as estimators see it: with no more samples than are asked for."""
        sampler = self._samplers.get(model)
        return answer if sampler is None else sampler.trim(answer)

    def next_call(
        self, query: Query, draft: Answer | None, left: float | None, spare: float | None
    ) -> Call | None:
        """Takes the next call from the queue; None where there is none.

        Args:
            query: the query.
            draft: the answer that the queue is about, if any.
            left: what is left of a hard cap; it goes into the call.
            spare: how much of that advice may cost; dearer calls are dropped. None for no cap.
        """
        while self._queue:
            source, about = self._queue.popleft()
            if spare is not None and self._expected[source.name] > spare:
                continue
            try:
                prompt = source.prompt_for(query, draft)
            except Exception as error:  # noqa: BLE001  a prompt may be the user's own function
                self._record_failure(source, about, error)
            else:
                return Call(
                    source.name, max_cost=left, purpose=source.purpose, prompt=prompt, about=about
                )
        return None

    def take(self, call: Call, reply: Answer) -> Advice:
        """Records a reply; one that cannot be read has no signals, and the reason as its error."""
        cost = self._charge(call.model, reply)
        self.spent += self._expected[call.model] if cost is None else cost
        advice = Advice(
            call.model,
            call.purpose,
            call.about,
            cost=cost,
            usage=reply.usage,
            seconds=reply.seconds,
        )
        try:
            advice = replace(advice, signals=self._sources[call.model].signals_of(reply))
        except Exception as error:  # noqa: BLE001  a reader may be the user's own function
            advice = replace(advice, error=error)
        self.record.append(advice)
        return advice

    def fail(self, call: Call, error: BaseException, seconds: float | None) -> None:
        """Records a failed call; against a hard cap it counts as what it should have cost."""
        self.spent += self._expected[call.model]
        self._record_failure(self._sources[call.model], call.about, error, seconds)

    def _record_failure(
        self,
        source: Source,
        about: str | None,
        error: BaseException,
        seconds: float | None = None,
    ) -> None:
        self.record.append(
            Advice(source.name, source.purpose, about, cost=0.0, seconds=seconds, error=error)
        )
