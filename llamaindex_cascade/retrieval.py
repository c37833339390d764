"""How well retrieval went, as a signal of whom to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, SkipValidation

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage

__all__ = ["RetrievalSignals", "retrieval_signals", "retrieved"]

_BEGINNING = 80  # characters of a node by which it is known again in a prompt

Measure: TypeAlias = Callable[[Sequence[NodeWithScore], QueryBundle | None], Mapping[str, float]]


class _Retrieved(NamedTuple):
    """What was retrieved last: how each node begins, and the signals."""

    beginnings: tuple[str, ...]
    signals: Mapping[str, float]


_LAST: ContextVar[_Retrieved | None] = ContextVar("cascade_retrieved", default=None)


def retrieval_signals(
    nodes: Sequence[NodeWithScore], query: QueryBundle | None = None
) -> dict[str, float]:
    """What scores and lengths say of a retrieval.

    Args:
        nodes: as they were retrieved.
        query: what they were retrieved for; it is not looked at.

    Returns:
        "retrieved", how many nodes; "retrieved_length", their characters; and where they have
        scores "retrieval_best", "retrieval_mean" and "retrieval_margin", by how much the best is
        ahead of the next.
    """
    del query
    scores = sorted((node.score for node in nodes if node.score is not None), reverse=True)
    length = sum(map(_length, nodes))
    signals = {"retrieved": float(len(nodes)), "retrieved_length": float(length)}
    if scores:
        signals["retrieval_best"] = float(scores[0])
        signals["retrieval_mean"] = float(sum(scores) / len(scores))
        signals["retrieval_margin"] = float(scores[0] - (scores[1] if len(scores) > 1 else 0.0))
    return signals


class RetrievalSignals(BaseNodePostprocessor):
    """Tells the cascade how well retrieval went; the nodes pass as they are.

    Put last among the postprocessors of a query engine or a chat engine it measures what was
    retrieved, and every cascade that is then asked with those nodes in the prompt has the numbers
    in `Query.signals`, for a `QuerySignalEstimator` or one of your own.

    Example:
        ```python
        engine = index.as_query_engine(llm=llm, node_postprocessors=[RetrievalSignals()])
        ```

    Attributes:
        measure: what to measure: a function of the nodes and the `QueryBundle` to numbers by name;
            `retrieval_signals` by default.
    """

    measure: SkipValidation[Measure] = Field(default=retrieval_signals, exclude=True)

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of postprocessor."""
        return "RetrievalSignals"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        signals = self.measure(nodes, query_bundle)
        beginnings = tuple(text for node in nodes if (text := _beginning(node)))
        _LAST.set(_Retrieved(beginnings, signals))
        return nodes

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        # Upstream's own goes to a thread, whose context is lost.
        return self._postprocess_nodes(nodes, query_bundle)


def retrieved(asked: Sequence[ChatMessage] | str) -> Mapping[str, float]:
    """The signals of the last retrieval, if its nodes are in what is asked; else none."""
    last = _LAST.get()
    if last is None:
        return {}
    texts = [asked] if isinstance(asked, str) else [message.content or "" for message in asked]
    about = any(beginning in text for text in texts for beginning in last.beginnings)
    return last.signals if about else {}


def _beginning(node: NodeWithScore) -> str:
    return node.node.get_content(metadata_mode=MetadataMode.NONE).strip()[:_BEGINNING].strip()


def _length(node: NodeWithScore) -> int:
    return len(node.node.get_content(metadata_mode=MetadataMode.NONE))
