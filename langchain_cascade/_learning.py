"""What a cascade learns from its children's answers, and keeps: fitting, measuring, saving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig

from cascade_engine import Call, CascadeDataset, Evaluation, NotFittedError, evaluate
from cascade_engine._call_options import Sessions
from cascade_engine._evaluation import beside_mixing
from cascade_engine._gathering import Children, Gathering
from cascade_engine._saved_cascades import restore, save_cascade
from langchain_cascade._asking import Asking
from langchain_cascade._children import name_children
from langchain_cascade._logged import Logged, key_of, prepared
from langchain_cascade._runs import Run
from langchain_cascade._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from typing_extensions import Self

    from cascade_engine import Query
    from cascade_engine._advisers import Adviser
    from cascade_engine._collection import Collection

__all__ = ["Learning"]


class Learning(Settings):
    """The part of `CascadeRoutingLLM` that learns."""

    def collect(self, questions: Sequence[LanguageModelInput], **options: Any) -> Collection:
        """Asks every child every question, and keeps what they answer.

        `fit` does the same; apart, it can be done once, looked at and labelled in several ways:
        `llm.fit(llm.collect(questions, path="answers.jsonl"), references)`.

        Args:
            questions: what to ask; also what `read_traces` read from a log: children are not asked
                again for what they have answered there.
            **options: those of `cascade_engine.collect`: `path`, a journal from which a collection
                that was interrupted goes on; `settings`, what else the answers depend on (system
                prompts, temperatures); `max_cost`, `samples`, `max_concurrency`, .... `retries` is
                0 by default: the children's own clients try again.

        Returns:
            The answers, with what is missing and why.

        Raises:
            DataError: no questions, or a journal of something else.
        """
        return children_of(self).collect(questions, options)

    async def acollect(self, questions: Sequence[LanguageModelInput], **options: Any) -> Collection:
        """`collect`, without blocking the event loop."""
        return await children_of(self).acollect(questions, options)

    def advise(self, data: CascadeDataset, **options: Any) -> CascadeDataset:
        """Asks the judge and the router about a labelled data set, as `fit` does by itself.

        What comes of it is for `cascade_engine.advisers.judge_report`, and for several fits.

        Args:
            data: the data set, which is left as it is.
            **options: those of `cascade_engine.advisers.advise`.
        """
        return children_of(self).advise(data, options)

    def fit(
        self,
        questions: Sequence[LanguageModelInput] | Collection | CascadeDataset,
        references: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """Learns how good and how dear each child is, and what to spend on which query.

        Args:
            questions: what to ask every child, logged traces among it, or what `collect` returned,
                or a data set already recorded on these models.
            references: the right answers, one per question.
            **options: where quality comes from: `grade`, a function (question, answer, reference)
                to [0, 1], by default a comparison with the reference that suits its kind; `judge`,
                a function (question, answer) to [0, 1]; or `agreement=True`, with the last child.
                Further those of `collect` (`path`, `max_cost`, `max_concurrency`, ...), and
                `on_missing="drop"` to learn from the questions that all children answered.

        Returns:
            Itself, fitted. If anything fails it is left as it was.

        Raises:
            ConfigurationError: nothing says which answers are good.
            DataError: lengths differ, there are too few questions, or a child failed on one.
            UnknownPriceError: a call's cost is unknown.
            InfeasibleBudgetError: no policy costs as little as `max_expected_cost`.
        """
        data = Gathering(questions, references, options, children_of(self)).data()
        self._router = self._router.refit(data)
        return self

    async def afit(
        self,
        questions: Sequence[LanguageModelInput] | Collection | CascadeDataset,
        references: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """`fit`, asking the children, and a judge, without blocking the event loop."""
        data = await Gathering(questions, references, options, children_of(self)).adata()
        self._router = await asyncio.to_thread(self._router.refit, data)
        return self

    def evaluate(
        self,
        questions: Sequence[LanguageModelInput] | Collection | CascadeDataset,
        references: Sequence[Any] | None = None,
        **options: Any,
    ) -> Evaluation:
        """Cost and quality on held-out questions: the cascade, random mixing, each child alone.

        Without its fitting data a loaded cascade is shown without random mixing at the same budget;
        its curve is compared with mixing all the same.

        Arguments and errors as for `fit`.

        Raises:
            NotFittedError: before `fit`.
        """
        if not self._router.is_fitted:
            raise NotFittedError("evaluate needs a fitted cascade: call fit first")
        data = Gathering(questions, references, options, children_of(self)).data()
        return evaluate(beside_mixing(self._router), data)

    def with_budget(self, max_expected_cost: float | None) -> Self:
        """A cascade at another budget that shares this one's children and fit: no refit.

        Raises:
            InfeasibleBudgetError: no policy costs as little.
        """
        other = self.model_copy(update={"max_expected_cost": max_expected_cost})
        other._router = self._router.with_budget(max_expected_cost)
        other._sessions, other._identity = Sessions(), None
        return other

    # Saving.

    def save(
        self, path: str | PathLike[str], *, include_fitting_data: bool = False
    ) -> tuple[str, ...]:
        """Writes what was learned, and all settings, to a folder; no child and no key.

        It holds words that are frequent in the fitting questions, and no question or answer.

        Args:
            path: of the folder, which may hold the cascade saved before.
            include_fitting_data: whether to keep the numbers of the fitting questions, on which
                another strategy can be tuned: random mixing, say, for `evaluate` to show.

        Returns:
            The places that `load` will ask for: functions of your own cannot be saved.

        Raises:
            PersistenceError: something that cannot be saved, or a folder of something else.
        """
        return save_cascade(self, path, include_fitting_data=include_fitting_data)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        models: Any,
        *,
        supply: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Self:
        """A cascade as it was saved, on children that are given again. It runs no code of the file.

        Args:
            path: of the folder.
            models: children of the same names, in any order, as for the constructor.
            supply: what could not be saved, by its place, as `save` returned them.
            **fields: fields of the constructor that are not saved, such as `callbacks`; and
                `judge` and `llm_router`, if it was saved with them.

        Raises:
            ConfigurationError: children of other names, or a field that was saved.
            PersistenceError: there is no cascade, it is damaged or of another version, or it needs
                something that `supply` lacks.
        """
        router, children, saved = restore(path, name_children(models), fields, supply)
        cascade = cls(models=children, **saved)
        cascade._router = router
        return cascade


def children_of(cascade: Settings) -> Children:
    """The children, as the engine's `collect` asks them."""
    run = Run({}, RunnableConfig())

    def read(question: LanguageModelInput | Logged) -> tuple[Query, Asking, str]:
        logged = question if isinstance(question, Logged) else Logged(_read(cascade, question), {})
        children, query, options = prepared(logged, cascade.models)
        options = {**cascade._parameters, **options}
        given = Asking(cascade, run, logged.messages, children, options)
        return query, given, key_of(logged.messages, logged.told)

    def child(name: str) -> tuple[Callable[[Asking], Any], Callable[[Asking], Any]]:
        call = Call(name)
        return lambda given: given.ask(call), lambda given: given.aask(call)

    def adviser(each: Adviser) -> tuple[Callable[[str], Any], Callable[[str], Any]]:
        def call(prompt: str) -> Call:
            return Call(each.name, purpose=each.purpose, prompt=prompt)

        blank = Asking(cascade, run, [], cascade.models, cascade._parameters)
        return lambda prompt: blank.ask(call(prompt)), lambda prompt: blank.aask(call(prompt))

    ways = {name: child(name) for name in cascade.models}
    router = cascade.router
    advisers = {each: adviser(each) for each in router.advisers}
    return Children(
        {name: both[0] for name, both in ways.items()},
        {name: both[1] for name, both in ways.items()},
        router.charge,
        read,
        advisers,
        router.samples,
        Logged.of,
    )


def _read(cascade: Settings, question: LanguageModelInput) -> list[BaseMessage]:
    return cascade._convert_input(question).to_messages()
