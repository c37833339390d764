"""Advice on a whole data set: asking for it, and what it cost."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collection import acollect, collect
from cascade_engine.errors import DataError
from cascade_engine.routing.advisers import ChatRouter, add_advice
from cascade_engine.routing.live_advice import AdvicePlan
from cascade_engine.tuning.simulation import AdviceCosts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from cascade_engine.data.collection import Collection
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.routing.advisers import Adviser

__all__ = ["aadvise", "advice_costs", "advise", "plan_advice"]

#: Without a limit of the caller's, this share of the calls may fail, and at least so many.
_FAILING, _FEW = 0.1, 10


def advise(
    data: CascadeDataset,
    advisers: Mapping[Adviser, Callable[[str], Answer]],
    **options: Any,
) -> CascadeDataset:
    """Asks judges about every answer, and routers about every query, of a data set.

    Their scores are in `Answer.signals` and `Query.signals` of the data set returned, and what they
    cost is in `advice_cost` of both. It is no part of `CascadeDataset.cost`, because a fit charges
    a strategy for a judge only where the answer is a draft. A signal that is there already is not
    asked for again. A call that fails, or a reply that cannot be read, leaves it unknown.

    Args:
        data: the data set, which is left as it is.
        advisers: for each adviser the function that asks it: from a prompt to an `Answer`.
        **options: those of `cascade_engine.collect`: `path`, a journal from which an interrupted
            run goes on (`advice.jsonl` makes a journal `advice.judge.jsonl` for each adviser);
            `settings`, which name the model behind an adviser, say, so that no other's answers are
            taken for its own; `prices`, `charge`, `max_cost` for each adviser, `max_concurrency`,
            `retries` and so on.

    Raises:
        DataError: a limit was reached before everything was asked, or no reply of an adviser could
            be read.
        UnknownPriceError: the cost of a call is unknown.
    """
    for adviser, ask in advisers.items():
        survey = _Survey(adviser, data, options)
        if survey.places:
            data = survey.advised(collect({adviser.name: ask}, **survey.plan))
    return data


async def aadvise(
    data: CascadeDataset,
    advisers: Mapping[Adviser, Callable[[str], Awaitable[Answer] | Answer]],
    **options: Any,
) -> CascadeDataset:
    """`advise`, with functions that may be asynchronous."""
    for adviser, ask in advisers.items():
        survey = _Survey(adviser, data, options)
        if survey.places:
            data = survey.advised(await acollect({adviser.name: ask}, **survey.plan))
    return data


class _Place(NamedTuple):
    """One question to an adviser: about a query or, with a column, about that model's answer."""

    row: int
    column: int | None
    prompt: str


@dataclass(frozen=True)
class _Survey:
    """One adviser's survey of a data set."""

    adviser: Adviser
    data: CascadeDataset
    options: Mapping[str, Any]

    @cached_property
    def places(self) -> list[_Place]:
        """Everything that it has not been asked yet."""
        adviser, places = self.adviser, []
        for row, query in enumerate(self.data.queries):
            if isinstance(adviser, ChatRouter):
                if not self._has_advice(query):
                    places.append(_Place(row, None, adviser.prompt_for(query)))
                continue
            for column, answer in enumerate(self.data.answers[row]):
                if not self._has_advice(answer):
                    places.append(_Place(row, column, adviser.prompt_for(query, answer)))
        return places

    def _has_advice(self, record: Query | Answer) -> bool:
        return self.adviser.name in record.advice_cost or any(
            name in record.signals for name in self.adviser.signals
        )

    @property
    def plan(self) -> dict[str, Any]:
        """Arguments for `collect`, which asks the same prompt once, however often it is there."""
        prompts = [place.prompt for place in self.places]
        arguments = {
            "queries": [Query(prompt) for prompt in prompts],
            "inputs": prompts,
            "max_failures": max(_FEW, int(_FAILING * len(prompts))),
            **self.options,
        }
        if arguments.get("path") is not None:
            path, name = Path(arguments["path"]), re.sub(r"[^\w.-]", "_", self.adviser.name)
            arguments["path"] = path.with_name(f"{path.stem}.{name}{path.suffix}")
        return arguments

    def advised(self, replies: Collection) -> CascadeDataset:
        """A copy of the data set with the adviser's signals, and what they cost."""
        adviser, missing = self.adviser, replies.missing()
        if replies.stopped:
            why = next((gap.why for gap in missing if gap.why), None)
            raise DataError(
                f"{adviser.name!r} was not asked everything: {replies.stopped}"
                + (f" ({why})" if why else "")
                + "; pass path= to keep what was answered, and go on from there"
            )
        charge = Charge(self.options.get("prices") or {}, self.options.get("charge", "price"))
        new = copy.copy(self.data)
        new.queries, new.answers = list(new.queries), [list(row) for row in new.answers]
        read, problem = 0, next((gap.why for gap in missing), None)
        for number, place in enumerate(self.places):
            for reply in replies.answers(number, adviser.name):
                signals, error = self._signals_of(reply)
                read, problem = read + bool(signals), problem or error
                paid = {adviser.name: charge.required(adviser.name, reply)}
                if place.column is None:
                    new.queries[place.row] = add_advice(new.queries[place.row], signals, paid)
                else:
                    row = new.answers[place.row]
                    row[place.column] = add_advice(row[place.column], signals, paid)
        if not read:
            raise DataError(f"nothing that {adviser.name!r} said could be read: {problem}")
        return new

    def _signals_of(self, reply: Answer) -> tuple[dict[str, float], str | None]:
        try:
            return self.adviser.signals_of(reply), None
        except Exception as error:  # noqa: BLE001  a reader may be the user's own function
            return {}, str(error)


def advice_costs(
    advisers: Sequence[Adviser], samples: Mapping[str, int], data: CascadeDataset
) -> AdviceCosts | None:
    """What advice on a data set cost; None without advisers and samples.

    Args:
        advisers: the advisers that were asked.
        samples: how many samples of which model.
        data: the data, as `take_samples` returns it.

    Raises:
        DataError: the data has no signal of one of the advisers.
    """
    names = [*samples, *(adviser.name for adviser in advisers)]
    if not names:
        return None
    recorded = {name for record in _records(data) for name in record.signals}
    silent = [adviser.name for adviser in advisers if recorded.isdisjoint(adviser.signals)]
    if silent:
        raise DataError(
            f"the data has no signals of the advisers {silent}: ask them by "
            "cascade_engine.advise(data, {adviser: function of a prompt to an Answer}) before the "
            "fit"
        )

    def paid(record: Query | Answer) -> float:
        return float(sum(record.advice_cost.get(name, 0.0) for name in names))

    return AdviceCosts(
        np.array([paid(query) for query in data.queries]),
        np.array([[paid(answer) for answer in row] for row in data.answers]),
    )


def plan_advice(
    advisers: Sequence[Adviser],
    samples: Mapping[str, int],
    data: CascadeDataset,
    costs: AdviceCosts,
) -> AdvicePlan:
    """Whom sessions ask, at the costs that advice had on a data set.

    Args:
        advisers: in the order in which sessions ask them.
        samples: how many samples of which model.
        data: the data.
        costs: what advice cost there, by `advice_costs`.
    """
    records = list(_records(data))

    def mean(name: str) -> float:
        paid = [record.advice_cost[name] for record in records if name in record.advice_cost]
        return float(np.mean(paid)) if paid else 0.0

    cost = {adviser.name: mean(adviser.name) for adviser in advisers}
    cost |= {model: mean(model) / count for model, count in samples.items()}
    return AdvicePlan(tuple(advisers), cost, costs.answer.mean(axis=0), dict(samples))


def _records(data: CascadeDataset) -> Iterator[Query | Answer]:
    """Every query, then every answer."""
    yield from data.queries
    for row in data.answers:
        yield from row
