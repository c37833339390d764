"""What an adapter learns from: questions for its children, a collection, or a finished data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from cascade_engine.data.collection import Collection, acollect, collect
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.data.label_sources import check_labels
from cascade_engine.data.traffic.call_log import query_without_advice
from cascade_engine.data.traffic.trace_line import LoggedTrace
from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.routing.recorded_advice import aadvise, advise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.routing.advisers import Adviser

__all__ = ["Children", "TrainingData"]

_SOURCES = ("grade", "judge", "agreement", "strongest")
#: Options of `Collection.dataset`; all others are those of `collect`.
_OF_DATASET = (*_SOURCES, "ids", "groups", "metadata", "on_missing")
#: What `collect` takes, but for what a cascade knows itself.
_SET_BY_CASCADE = {"models", "queries", "inputs", "keys"}
_OF_COLLECT = tuple(name for name in signature(collect).parameters if name not in _SET_BY_CASCADE)
#: Options of `collect` that hold for asking advisers too.
_OF_ADVICE = ("path", "settings", "max_concurrency", "retries", "retry_on", "progress", "sleep")


@dataclass(frozen=True)
class Children:
    """How an adapter's children are asked.

    Attributes:
        ask: a function of an input to an `Answer`, by the child's name.
        aask: the same, for coroutines.
        charge: what their calls cost.
        advisers: how each adviser is asked, by a function of a prompt and one for coroutines.
        read: a question as a query, the input to call a child with, and a key of its content.
        samples: how many further answers the cascade asks of which child, once it is fitted.
        rebuild: the question of which a log has the input.
    """

    ask: Mapping[str, Callable[[Any], Answer]]
    aask: Mapping[str, Callable[[Any], Awaitable[Answer]]]
    charge: Charge
    read: Callable[[Any], tuple[Query, Any, str]]
    advisers: Mapping[
        Adviser, tuple[Callable[[str], Answer], Callable[[str], Awaitable[Answer]]]
    ] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    rebuild: Callable[[Any], Any] = lambda logged: logged

    def collect(self, questions: Sequence[Any], options: Mapping[str, Any]) -> Collection:
        """Asks every child every question, as often as a fit needs its answers."""
        return collect(self.ask, **self._asking(questions, options))

    async def acollect(self, questions: Sequence[Any], options: Mapping[str, Any]) -> Collection:
        """The same, without blocking the event loop."""
        return await acollect(self.aask, **self._asking(questions, options))

    def advise(self, data: CascadeDataset, options: Mapping[str, Any]) -> CascadeDataset:
        """Asks the advisers about a data set."""
        asks = {adviser: ways[0] for adviser, ways in self.advisers.items()}
        return advise(data, asks, **{**self.paying, **options})

    @property
    def paying(self) -> dict[str, Any]:
        """How calls are priced, and that the frameworks' own clients try again."""
        return {"prices": self.charge.prices, "charge": self.charge.by, "retries": 0}

    def _asking(self, questions: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(options) - set(_OF_COLLECT))
        if unknown:
            raise ConfigurationError(
                f"there is no option {unknown[0]!r}: what is asked takes {list(_OF_COLLECT)}, and "
                f"what comes of it {list(_OF_DATASET)}"
            )
        questions = _listed("questions", questions)
        inputs = [self._read(question) for question in questions]
        logged = [
            replace(question, key=key)
            for question, (_, _, key) in zip(questions, inputs, strict=True)
            if isinstance(question, LoggedTrace)
        ]
        if logged and options.get("known") is not None:
            raise ConfigurationError("the traces given know the answers: leave out known=")
        return {
            "queries": [query for query, _, _ in inputs],
            "inputs": [request for _, request, _ in inputs],
            "keys": [key for _, _, key in inputs],
            # The first answer counts too.
            "samples": {model: 1 + self.samples.get(model, 0) for model in self.ask},
            "known": Collection.from_traces(logged) if logged else None,
            **self.paying,
            **options,
        }

    def _read(self, question: Any) -> tuple[Query, Any, str]:
        """A question as a query, input and key; a logged one keeps what advisers said of it."""
        if not isinstance(question, LoggedTrace):
            return self.read(question)
        query_without_advice(question)
        if question.input is None:
            raise DataError(
                f"the trace of {question.query.text[:80]!r} was logged without its input, and "
                "nobody can be asked again: a cascade's own log has it"
            )
        query, request, key = self.read(self.rebuild(question.input))
        logged = question.query
        query = replace(query, signals=logged.signals, advice_cost=logged.advice_cost)
        return query, request, key


class TrainingData:
    """What a cascade learns from: it becomes a data set once the children have been asked.

    Nobody is asked before all else is in order.

    Args:
        source: questions, a collection, or a data set.
        references: the right answers, one per question.
        options: of `Collection.dataset` (`grade`, `judge`, ...) and of `collect` (`path`, ...).
        children: whom to ask.

    Raises:
        DataError: no questions, or not as many references.
        ConfigurationError: nothing says which answers are good, or there is a cost limit at which
            all would be lost.
        UnknownPriceError: a child has no price, and its calls are to be priced.
    """

    def __init__(
        self,
        source: Any,
        references: Sequence[Any] | None,
        options: Mapping[str, Any],
        children: Children,
    ) -> None:
        if references is not None:
            references = _listed("references", references)
        self._references, self._children = references, children
        self._labels = {k: v for k, v in options.items() if k in _OF_DATASET}
        self._options = {k: v for k, v in options.items() if k not in _OF_DATASET}
        self._source = source
        if isinstance(source, CascadeDataset):
            _refuse(["references"] * (references is not None) + list(options), "a data set")
            return
        sources = {name: self._labels[name] for name in _SOURCES if name in self._labels}
        if isinstance(source, Collection):
            _refuse(self._options, "a collection")
            check_labels(source.queries, references, **sources)
            return
        self._source = source = _listed("questions", source)
        check_labels(source, references, **sources)
        advisers = (adviser.name for adviser in children.advisers)
        children.charge.check([*children.ask, *advisers])
        if self._options.get("path") is None and self._labels.get("on_missing") != "drop":
            # Without a journal one failure loses all answers: none is then paid for in vain.
            self._options.setdefault("max_failures", 0)
            if self._options.get("max_cost") is not None:
                raise ConfigurationError(
                    "what was paid for would be lost at max_cost: pass path=, to go on from there, "
                    'or on_missing="drop", to learn from what there is'
                )

    def dataset(self) -> CascadeDataset:
        """The data set, for which children and advisers are asked what is missing."""
        if isinstance(self._source, CascadeDataset):
            return advise(self._source, self._advisers, **self._advising(0.0))
        collection = self._source
        if not isinstance(collection, Collection):
            collection = self._children.collect(collection, self._options)
        data = collection.dataset(references=self._references, **self._labels)
        return advise(data, self._advisers, **self._advising(collection.cost))

    async def adataset(self) -> CascadeDataset:
        """The same, without blocking the event loop."""
        if isinstance(self._source, CascadeDataset):
            return await aadvise(self._source, self._async_advisers, **self._advising(0.0))
        collection = self._source
        if not isinstance(collection, Collection):
            collection = await self._children.acollect(collection, self._options)
        data = await collection.adataset(references=self._references, **self._labels)
        return await aadvise(data, self._async_advisers, **self._advising(collection.cost))

    @property
    def _advisers(self) -> dict[Adviser, Any]:
        return {adviser: ask for adviser, (ask, _) in self._children.advisers.items()}

    @property
    def _async_advisers(self) -> dict[Adviser, Any]:
        return {adviser: aask for adviser, (_, aask) in self._children.advisers.items()}

    def _advising(self, spent: float) -> dict[str, Any]:
        """Options of `advise`: those of collecting, and what is left of a cost limit."""
        options = {k: v for k, v in self._options.items() if k in _OF_ADVICE}
        if self._options.get("max_cost") is not None:
            options["max_cost"] = max(0.0, self._options["max_cost"] - spent)
        return {**self._children.paying, **options}


def _listed(name: str, values: Any) -> list[Any]:
    """An argument that holds several values, as a list.

    Raises:
        DataError: it is a single string, a mapping, or nothing of the kind.
    """
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise DataError(f"{name} must be a list, not {values!r:.80}")
    return list(values)


def _refuse(options: Iterable[str], source: str) -> None:
    extra = sorted(options)
    if extra:
        raise ConfigurationError(f"{extra} cannot change {source} that is there already")
