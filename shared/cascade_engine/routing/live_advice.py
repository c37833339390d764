"""Advice and samples in a session, in a replay, and in what strategies expect to pay."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from cascade_engine.core.records import Answer, Call, Query
from cascade_engine.core.trace import Advice
from cascade_engine.errors import DataError
from cascade_engine.routing.advisers import Adviser, ChatRouter
from cascade_engine.routing.sampling import Sampler, samplers, unsampled
from cascade_engine.storage.registry import persistent
from cascade_engine.tuning.simulation import AdviceCosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cascade_engine.core.arrays import FloatArray
    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Purpose
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.strategies import Strategy

__all__ = ["Advising", "Counsel", "advice_paid", "expecting", "told"]

Record = TypeVar("Record", Query, Answer)
#: Whoever is asked for the engine alone.
Asked: TypeAlias = Adviser | Sampler


@persistent("Advising", version=2, upgrade=unsampled)
@dataclass(frozen=True)
class Advising:
    """Who gives advice, and what it is expected to cost.

    Attributes:
        advisers: in the order in which they are asked.
        cost: of one call of each, and for one sample of each model, by name, on average.
        judging: of all judges and samples, about an answer of each model, on average; shape (k,).
        samples: how many of each model.
    """

    advisers: tuple[Adviser, ...]
    cost: Mapping[str, float]
    judging: FloatArray
    samples: Mapping[str, int] = field(default_factory=dict)

    def surcharge(self, strategy: Strategy) -> FloatArray | float:
        """What a strategy should add to each model's cost: nothing where no answer is a draft.

        The last answer of a query is neither judged nor sampled, and this holds it to be: a
        strategy that may escalate takes the last step for a little dearer than it is.
        """
        return 0.0 if strategy.max_depth == 1 else self.judging


class Counsel:
    """The advisers of one query, and the models to sample: whom to ask next, and what they said."""

    def __init__(self, advising: Advising | None, charge: Charge) -> None:
        self._advisers: tuple[Adviser, ...] = ()
        self._samplers: dict[str, Sampler] = {}
        self._named: dict[str, Asked] = {}
        self._expected: Mapping[str, float] = {}
        if advising is not None:
            self._advisers, self._expected = advising.advisers, advising.cost
            self._samplers = {s.name: s for s in samplers(advising.samples)}
            self._named = {a.name: a for a in self._advisers} | self._samplers
        self._charge = charge
        self._asking: deque[tuple[Asked, str | None]] = deque()
        self.advice: list[Advice] = []
        self.spent = 0.0

    def on_query(self, query: Query) -> None:
        """Routers are to be asked about a query, unless they have been."""
        self._asking.extend((each, None) for each in self._unheard("route", query))

    def on_answer(self, model: str, answer: Answer) -> None:
        """A model is to be asked for samples, and judges about its answer, unless they have been.

        Args:
            model: whose answer it is.
            answer: the answer.
        """
        if sampler := self._samplers.get(model):
            self._asking.extend([(sampler, model)] * sampler.due(answer))
        self._asking.extend((each, model) for each in self._unheard("judge", answer))

    def _unheard(self, purpose: Purpose, record: Query | Answer) -> Iterator[Adviser]:
        """Advisers of whom a query or an answer has no signal."""
        for each in self._advisers:
            if each.purpose == purpose and not any(name in record.signals for name in each.signals):
                yield each

    def seen(self, model: str, answer: Answer) -> Answer:
        """The answer as estimates go by it: with no more samples than are asked for."""
        sampler = self._samplers.get(model)
        return answer if sampler is None else sampler.seen(answer)

    def next(
        self, query: Query, answer: Answer | None, left: float | None, spare: float | None
    ) -> Call | None:
        """The next call, if there is one; those that cost more than `spare` are left out."""
        while self._asking:
            asked, about = self._asking.popleft()
            if spare is not None and self._expected[asked.name] > spare:
                continue
            try:
                prompt = _prompt(asked, query, answer)
            except Exception as error:  # noqa: BLE001  a function of the user's
                self.advice.append(_silent(asked, about, error))
            else:
                return Call(
                    asked.name, max_cost=left, purpose=asked.purpose, prompt=prompt, about=about
                )
        return None

    def heard(self, call: Call, reply: Answer) -> Advice:
        """Takes a reply, read or not."""
        asked = self._named[call.model]
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
            advice = replace(advice, signals=asked.heard(reply))
        except Exception as error:  # noqa: BLE001  a function of the user's
            advice = replace(advice, error=error)
        self.advice.append(advice)
        return advice

    def failed(self, call: Call, error: BaseException, seconds: float | None) -> None:
        """Takes a failure, which counts as expected against a hard cap."""
        self.spent += self._expected[call.model]
        self.advice.append(_silent(self._named[call.model], call.about, error, seconds))


def _prompt(asked: Asked, query: Query, answer: Answer | None) -> str | None:
    if isinstance(asked, ChatRouter):
        return asked.ask(query)
    if answer is None:
        raise DataError(f"there is no answer for {asked.name!r} to judge")
    return asked.ask(query, answer)


def _silent(
    asked: Asked, about: str | None, error: BaseException, seconds: float | None = None
) -> Advice:
    return Advice(asked.name, asked.purpose, about, cost=0.0, seconds=seconds, error=error)


def told(record: Record, signals: Mapping[str, float], paid: Mapping[str, float]) -> Record:
    """The query or the answer with what an adviser said of it, and what that cost beside the rest.

    A model is paid for every sample under the one name.
    """
    before = record.advice_cost
    return replace(
        record,
        signals={**record.signals, **signals},
        advice_cost={**before, **{name: before.get(name, 0.0) + paid[name] for name in paid}},
    )


def advice_paid(
    advisers: Sequence[Adviser], samples: Mapping[str, int], data: CascadeDataset
) -> AdviceCosts | None:
    """What advice on a data set cost; None where there are no advisers and no samples.

    Args:
        advisers: who gave it.
        samples: how many of which model.
        data: as `cascade_engine.routing.sampling.sampled` makes it.

    Raises:
        DataError: the data has no signal of one.
    """
    names = [*samples, *(each.name for each in advisers)]
    if not names:
        return None
    every = {name for row in data.answers for answer in row for name in answer.signals}
    every |= {name for query in data.queries for name in query.signals}
    silent = [each.name for each in advisers if every.isdisjoint(each.signals)]
    if silent:
        raise DataError(
            f"the data has no signals of the advisers {silent}: ask them by "
            "advisers.advise(data, {adviser: function of a prompt to an Answer}) before the fit"
        )
    return AdviceCosts(
        np.array([_paid(query, names) for query in data.queries]),
        np.array([[_paid(answer, names) for answer in row] for row in data.answers]),
    )


def _paid(record: Query | Answer, names: Sequence[str]) -> float:
    return float(sum(record.advice_cost.get(name, 0.0) for name in names))


def expecting(
    advisers: Sequence[Adviser], samples: Mapping[str, int], data: CascadeDataset
) -> Advising | None:
    """What advice may be expected to cost, as it did on a data set; arguments as before."""
    paid = advice_paid(advisers, samples, data)
    if paid is None:
        return None
    records: list[Query | Answer] = [*data.queries]
    records += [answer for row in data.answers for answer in row]

    def mean(name: str) -> float:
        paid = [each.advice_cost[name] for each in records if name in each.advice_cost]
        return float(np.mean(paid)) if paid else 0.0

    cost = {each.name: mean(each.name) for each in advisers}
    cost |= {model: mean(model) / count for model, count in samples.items()}
    return Advising(tuple(advisers), cost, paid.answer.mean(axis=0), dict(samples))
