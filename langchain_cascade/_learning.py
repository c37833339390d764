"""Asking every child every question, for a `CascadeRoutingLLM` to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from cascade_engine import (
    Call,
    CascadeDataset,
    DataError,
)
from cascade_engine._dataset import check_labels
from langchain_cascade._messages import query_of
from langchain_cascade._runs import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage

    from cascade_engine import Answer
    from cascade_engine.graders import Grader
    from langchain_cascade.chat_models import CascadeRoutingLLM


class Collection:
    """Questions on their way to becoming a `CascadeDataset`.

    Raises:
        DataError: no questions, or not as many references.
        ConfigurationError: neither references nor a grader.
        UnknownPriceError: a child has no price, and calls are to be priced.
    """

    def __init__(
        self,
        cascade: CascadeRoutingLLM,
        questions: Sequence[LanguageModelInput],
        references: Sequence[Any] | None,
        grade: Grader | None,
    ) -> None:
        self._grade = check_labels(questions, references, grade)
        cascade.router.charge.check(cascade.models)
        self._cascade = cascade
        self._messages = [cascade._convert_input(q).to_messages() for q in questions]
        self._references = references

    def answers(self, max_concurrency: int) -> list[list[Answer]]:
        """Every child's answers; a list for each child."""
        config = RunnableConfig(max_concurrency=max_concurrency)
        return [
            self._complete(
                name, self._asking(name).batch(self._messages, config, return_exceptions=True)
            )
            for name in self._cascade.models
        ]

    async def aanswers(self, max_concurrency: int) -> list[list[Answer]]:
        """The same, without blocking the event loop."""
        config = RunnableConfig(max_concurrency=max_concurrency)
        return [
            self._complete(
                name,
                await self._asking(name).abatch(self._messages, config, return_exceptions=True),
            )
            for name in self._cascade.models
        ]

    def _asking(self, name: str) -> RunnableLambda[list[BaseMessage], Answer]:
        call, run, cascade = Call(name), Run({}, RunnableConfig()), self._cascade

        def ask(messages: list[BaseMessage]) -> Answer:
            return cascade._ask(call, messages, run)

        async def aask(messages: list[BaseMessage]) -> Answer:
            return await cascade._aask(call, messages, run)

        return RunnableLambda(ask, afunc=aask)

    def _complete(self, name: str, outputs: list[Any]) -> list[Answer]:
        for messages, output in zip(self._messages, outputs, strict=True):
            if isinstance(output, Exception):
                question = query_of(messages).text
                raise DataError(
                    f"child {name!r} failed on the question {question[:80]!r}: "
                    f"{type(output).__name__}: {output}"
                ) from output
        return outputs

    def graded(self, answers: Sequence[Sequence[Answer]]) -> CascadeDataset:
        """The data set: answers, their quality and their cost."""
        return CascadeDataset.from_answers(
            list(self._cascade.models),
            [query_of(messages) for messages in self._messages],
            list(zip(*answers, strict=True)),
            grade=self._grade,
            references=self._references,
            prices=self._cascade.prices,
            cost=self._cascade.cost,
        )
