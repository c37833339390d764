"""Asking advisers about a whole data set, so that a fit can learn how far to trust them."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_engine.core.prices import Charge
from cascade_engine.core.records import Answer, Query
from cascade_engine.data.collection import acollect, collect
from cascade_engine.errors import DataError
from cascade_engine.routing.advisers import ChatRouter
from cascade_engine.routing.live_advice import told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from cascade_engine.data.collection import Collection
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.routing.advisers import Adviser

__all__ = ["aadvise", "advise"]

#: Without a limit of the caller's, this share of the calls may fail, and at least so many.
_FAILING, _FEW = 0.1, 10


def advise(
    data: CascadeDataset,
    advisers: Mapping[Adviser, Callable[[str], Answer]],
    **options: Any,
) -> CascadeDataset:
    """Asks judges about every answer, and routers about every query, of a data set.

    What they say is in `Answer.signals` and `Query.signals` of the data set returned, and what it
    cost in `advice_cost` of both, apart from `CascadeDataset.cost`: a fit charges a strategy for a
    judge only where the answer is a draft. What is there already is not asked again. A call that
    fails, or a reply that cannot be read, leaves the signal unknown.

    Args:
        data: the data set, which is left as it is.
        advisers: what asks each adviser, a function of a prompt to an `Answer`.
        **options: those of `cascade_engine.collect`: `path`, from which asking goes on after an
            interruption (`advice.jsonl` makes a journal `advice.judge.jsonl` for each adviser);
            `settings`, which model gives the advice, say, so that no other's is taken for it;
            `prices`, `charge`, `max_cost` for each adviser, `max_concurrency`, `retries`, ....

    Raises:
        DataError: a limit was reached before all were asked, or nothing that an adviser said could
            be read.
        UnknownPriceError: what a call cost is unknown.
    """
    for adviser, ask in advisers.items():
        work = _Work(adviser, data, options)
        if work.places:
            data = work.done(collect({adviser.name: ask}, **work.plan))
    return data


async def aadvise(
    data: CascadeDataset,
    advisers: Mapping[Adviser, Callable[[str], Awaitable[Answer] | Answer]],
    **options: Any,
) -> CascadeDataset:
    """`advise`, with functions that may be asynchronous."""
    for adviser, ask in advisers.items():
        work = _Work(adviser, data, options)
        if work.places:
            data = work.done(await acollect({adviser.name: ask}, **work.plan))
    return data


class _Place(NamedTuple):
    """What is asked about: a query, or where there is a column the answer of that model."""

    row: int
    column: int | None
    prompt: str


@dataclass(frozen=True)
class _Work:
    """What one adviser is to be asked about a data set."""

    adviser: Adviser
    data: CascadeDataset
    options: Mapping[str, Any]

    @property
    def places(self) -> list[_Place]:
        """What it has not been asked yet."""
        return list(self._places())

    def _places(self) -> Iterator[_Place]:
        adviser = self.adviser
        for row, query in enumerate(self.data.queries):
            if isinstance(adviser, ChatRouter):
                if not self._has(query):
                    yield _Place(row, None, adviser.ask(query))
                continue
            for column, answer in enumerate(self.data.answers[row]):
                if not self._has(answer):
                    yield _Place(row, column, adviser.ask(query, answer))

    def _has(self, record: Query | Answer) -> bool:
        return self.adviser.name in record.advice_cost or any(
            name in record.signals for name in self.adviser.signals
        )

    @property
    def plan(self) -> dict[str, Any]:
        """What `collect` needs: the same prompt is asked once, however often it is there."""
        prompts = [place.prompt for place in self.places]
        given = {
            "queries": [Query(prompt) for prompt in prompts],
            "inputs": prompts,
            "max_failures": max(_FEW, int(_FAILING * len(prompts))),
            **self.options,
        }
        if given.get("path") is not None:
            path, name = Path(given["path"]), re.sub(r"[^\w.-]", "_", self.adviser.name)
            given["path"] = path.with_name(f"{path.stem}.{name}{path.suffix}")
        return given

    def done(self, replies: Collection) -> CascadeDataset:
        """A copy of the data set that holds what was said."""
        adviser, missing = self.adviser, replies.missing()
        if replies.stopped:
            why = next((one.why for one in missing if one.why), None)
            raise DataError(
                f"{adviser.name!r} was not asked everything: {replies.stopped}"
                + (f" ({why})" if why else "")
                + "; pass path= to keep what was answered, and go on from there"
            )
        charge = Charge(self.options.get("prices") or {}, self.options.get("charge", "price"))
        new = copy.copy(self.data)
        new.queries, new.answers = list(new.queries), [list(row) for row in new.answers]
        read, unread = 0, next((one.why for one in missing), None)
        for number, place in enumerate(self.places):
            for reply in replies.answers(number, adviser.name):
                signals, trouble = self._read(reply)
                read, unread = read + bool(signals), unread or trouble
                paid = {adviser.name: charge.required(adviser.name, reply)}
                if place.column is None:
                    new.queries[place.row] = told(new.queries[place.row], signals, paid)
                else:
                    row = new.answers[place.row]
                    row[place.column] = told(row[place.column], signals, paid)
        if not read:
            raise DataError(f"nothing that {adviser.name!r} said could be read: {unread}")
        return new

    def _read(self, reply: Answer) -> tuple[dict[str, float], str | None]:
        try:
            return self.adviser.heard(reply), None
        except Exception as error:  # noqa: BLE001  a reader of the user's
            return {}, str(error)
