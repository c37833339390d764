"""Asking every child every question, for a `CascadeRoutingLLM` to learn from."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from cascade_engine import CascadeDataset, DataError
from cascade_engine._dataset import check_labels
from llamaindex_cascade._children import Request
from llamaindex_cascade._messages import query_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cascade_engine import Answer
    from cascade_engine._costs import Charge
    from cascade_engine.graders import Grader
    from llamaindex_cascade._children import Child


class Collection:
    """Questions on their way to becoming a `CascadeDataset`.

    Args:
        children: whom to ask.
        questions: what: strings, or lists of messages.
        references: the right answers, one per question.
        grade: what says how good an answer is.
        charge: what calls cost.

    Raises:
        DataError: no questions, or not as many references.
        ConfigurationError: neither references nor a grader.
        UnknownPriceError: a child has no price, and its calls are to be priced.
    """

    def __init__(
        self,
        children: Sequence[Child],
        questions: Sequence[str | Sequence[ChatMessage]],
        references: Sequence[Any] | None,
        grade: Grader | None,
        charge: Charge,
    ) -> None:
        self._grade = check_labels(questions, references, grade)
        charge.check(child.name for child in children)
        self._children = children
        self._charge = charge
        self._requests = [
            Request(ChatResponse, [ChatMessage(content=q)] if isinstance(q, str) else q, {})
            for q in questions
        ]
        self._references = references

    def answers(self, max_concurrency: int) -> list[list[Answer]]:
        """Every child's answers, a list for each child."""
        with ThreadPoolExecutor(max_concurrency) as pool:

            def ask(child: Child) -> list[Answer]:
                running = [
                    pool.submit(contextvars.copy_context().run, _ask, child, request)
                    for request in self._requests
                ]
                try:
                    return [each.result() for each in running]
                finally:
                    for each in running:
                        each.cancel()

            return [ask(child) for child in self._children]

    async def aanswers(self, max_concurrency: int) -> list[list[Answer]]:
        """The same, without blocking the event loop."""
        room = asyncio.Semaphore(max_concurrency)

        async def ask(child: Child, request: Request) -> Answer:
            async with room:
                with _blaming(child, request):
                    return await child.aask(request)

        async def ask_all(child: Child) -> list[Answer]:
            running = [asyncio.ensure_future(ask(child, each)) for each in self._requests]
            try:
                return await asyncio.gather(*running)
            finally:
                for each in running:
                    each.cancel()

        return [await ask_all(child) for child in self._children]

    def graded(self, answers: Sequence[Sequence[Answer]]) -> CascadeDataset:
        """The data set: answers, their quality and their cost."""
        return CascadeDataset.from_answers(
            [child.name for child in self._children],
            [query_of(request.asked) for request in self._requests],
            list(zip(*answers, strict=True)),
            grade=self._grade,
            references=self._references,
            prices=self._charge.prices,
            cost=self._charge.by,
        )


@contextmanager
def _blaming(child: Child, request: Request) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise DataError(
            f"child {child.name!r} failed on the question {query_of(request.asked).text[:80]!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _ask(child: Child, request: Request) -> Answer:
    with _blaming(child, request):
        return child.ask(request)
