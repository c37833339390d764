"""Advice in a session, in a replay, and in what strategies expect to pay."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from cascade_engine._advisers import ChatJudge, ChatRouter
from cascade_engine._arrays import FloatArray, patterns
from cascade_engine._registry import persistent
from cascade_engine._types import Advice, Answer, Call, Query
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cascade_engine._advisers import Adviser
    from cascade_engine._arrays import BoolArray, IntArray
    from cascade_engine._costs import Charge
    from cascade_engine._dataset import CascadeDataset
    from cascade_engine.strategies import Strategy

__all__ = ["Advised", "Advising", "Counsel", "advice_paid", "expecting", "told"]

Record = TypeVar("Record", Query, Answer)


@persistent("Advising")
@dataclass(frozen=True)
class Advising:
    """Who gives advice, and what it is expected to cost.

    Attributes:
        advisers: in the order in which they are asked.
        cost: of one call of each, by name, on average.
        judging: of all judges, about an answer of each model, on average; shape (k,).
    """

    advisers: tuple[Adviser, ...]
    cost: Mapping[str, float]
    judging: FloatArray

    def surcharge(self, strategy: Strategy) -> FloatArray | float:
        """What a strategy should add to each model's cost: nothing where no answer is a draft.

        The last answer of a query is not judged, and this holds it to be: a strategy that may
        escalate takes the last step for a little dearer than it is.
        """
        return 0.0 if strategy.max_depth == 1 else self.judging


@persistent("Advised")
class Advised(NamedTuple):
    """What advice on complete data costs.

    Attributes:
        query: on each query, shape (n,).
        answer: on each answer, shape (n, k).
    """

    query: FloatArray
    answer: FloatArray

    def at_first(self, strategy: Strategy, rows: IntArray) -> FloatArray:
        """What is paid on queries before any model runs, shape (m,)."""
        return np.zeros(len(rows)) if strategy.is_blind else self.query[rows]

    def after(
        self, strategy: Strategy, rows: IntArray, run: BoolArray, action: IntArray
    ) -> FloatArray:
        """What is paid once a model has answered, as sessions have it; shape (m,).

        Args:
            strategy: what decides.
            rows: numbers of the queries, shape (m,).
            run: which models had answered before, shape (m, k).
            action: the model that has answered now, shape (m,).
        """
        paid = np.zeros(len(rows))
        for pattern, here in patterns(run):
            for model in np.unique(action[here]).tolist():
                further = strategy.reachable(pattern, ~pattern, model)
                if further.any() and not strategy.is_final(pattern, ~pattern, model):
                    who = here[action[here] == model]
                    paid[who] = self.answer[rows[who], model]
        return paid


class Counsel:
    """The advisers of one query: whom to ask next, and what they said."""

    def __init__(self, advising: Advising | None, charge: Charge) -> None:
        given = advising.advisers if advising else ()
        self._judges = [each for each in given if isinstance(each, ChatJudge)]
        self._routers = [each for each in given if isinstance(each, ChatRouter)]
        self._named: dict[str, Adviser] = {each.name: each for each in given}
        self._expected = advising.cost if advising else {}
        self._charge = charge
        self._asking: deque[tuple[Adviser, str | None]] = deque()
        self.advice: list[Advice] = []
        self.spent = 0.0

    def on_query(self, query: Query) -> None:
        """Routers are to be asked about a query, unless they have been."""
        self._asking.extend((each, None) for each in self._routers if not _known(each, query))

    def on_answer(self, model: str, answer: Answer) -> None:
        """Judges are to be asked about an answer, unless they have been."""
        self._asking.extend((each, model) for each in self._judges if not _known(each, answer))

    def next(
        self, query: Query, answer: Answer | None, left: float | None, spare: float | None
    ) -> Call | None:
        """The next call, if there is one; those that cost more than `spare` are left out."""
        while self._asking:
            adviser, about = self._asking.popleft()
            if spare is not None and self._expected[adviser.name] > spare:
                continue
            try:
                prompt = _prompt(adviser, query, answer)
            except Exception as error:  # noqa: BLE001  a function of the user's
                self.advice.append(_silent(adviser, about, error))
            else:
                return Call(
                    adviser.name,
                    max_cost=left,
                    purpose=adviser.purpose,
                    prompt=prompt,
                    about=about,
                )
        return None

    def heard(self, call: Call, reply: Answer) -> Advice:
        """Takes a reply, read or not."""
        adviser = self._named[call.model]
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
            advice = replace(advice, signals=adviser.heard(reply))
        except Exception as error:  # noqa: BLE001  a function of the user's
            advice = replace(advice, error=error)
        self.advice.append(advice)
        return advice

    def failed(self, call: Call, error: BaseException, seconds: float | None) -> Advice:
        """Takes a failure, which counts as expected against a hard cap."""
        self.spent += self._expected[call.model]
        advice = _silent(self._named[call.model], call.about, error, seconds)
        self.advice.append(advice)
        return advice


def _prompt(adviser: Adviser, query: Query, answer: Answer | None) -> str:
    if isinstance(adviser, ChatRouter):
        return adviser.ask(query)
    if answer is None:
        raise DataError(f"there is no answer for {adviser.name!r} to judge")
    return adviser.ask(query, answer)


def _silent(
    adviser: Adviser, about: str | None, error: BaseException, seconds: float | None = None
) -> Advice:
    return Advice(adviser.name, adviser.purpose, about, cost=0.0, seconds=seconds, error=error)


def _known(adviser: Adviser, record: Query | Answer) -> bool:
    return any(name in record.signals for name in adviser.signals)


def told(record: Record, signals: Mapping[str, float], paid: Mapping[str, float]) -> Record:
    """The query or the answer with what an adviser said of it, and what that cost."""
    return replace(
        record,
        signals={**record.signals, **signals},
        advice_cost={**record.advice_cost, **paid},
    )


def advice_paid(advisers: Sequence[Adviser], data: CascadeDataset) -> Advised | None:
    """What advice on a data set cost; None where there are no advisers.

    Raises:
        DataError: the data has no signal of one.
    """
    if not advisers:
        return None
    every = {name for row in data.answers for answer in row for name in answer.signals}
    every |= {name for query in data.queries for name in query.signals}
    silent = [each.name for each in advisers if every.isdisjoint(each.signals)]
    if silent:
        raise DataError(
            f"the data has no signals of the advisers {silent}: ask them by "
            "advisers.advise(data, {adviser: function of a prompt to an Answer}) before the fit"
        )
    names = [each.name for each in advisers]
    return Advised(
        np.array([_paid(query, names) for query in data.queries]),
        np.array([[_paid(answer, names) for answer in row] for row in data.answers]),
    )


def _paid(record: Query | Answer, names: Sequence[str]) -> float:
    return float(sum(record.advice_cost.get(name, 0.0) for name in names))


def expecting(advisers: Sequence[Adviser], data: CascadeDataset) -> Advising | None:
    """What advice may be expected to cost, as it did on a data set."""
    paid = advice_paid(advisers, data)
    if paid is None:
        return None
    records: list[Query | Answer] = [*data.queries]
    records += [answer for row in data.answers for answer in row]

    def mean(name: str) -> float:
        paid = [each.advice_cost[name] for each in records if name in each.advice_cost]
        return float(np.mean(paid)) if paid else 0.0

    cost = {each.name: mean(each.name) for each in advisers}
    return Advising(tuple(advisers), cost, paid.answer.mean(axis=0))
