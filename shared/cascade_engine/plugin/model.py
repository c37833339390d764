"""What the model of every framework does beside answering: it learns, and is saved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cascade_engine.plugin.fields import CascadeFields
from cascade_engine.plugin.learner import Learner
from cascade_engine.plugin.names import given_once
from cascade_engine.plugin.persistence import restore, save_cascade
from cascade_engine.plugin.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Collection as Names
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from typing_extensions import Self

    from cascade_engine.core.records import Query
    from cascade_engine.data.collection import Collection
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.evaluation.result import Evaluation
    from cascade_engine.plugin.call_options import SessionOpener
    from cascade_engine.plugin.shadow import ShadowPool
    from cascade_engine.plugin.training_data import Children
    from cascade_engine.routing.router import CascadeRouter
    from cascade_engine.routing.session import Session

__all__ = ["CascadeModel"]


class CascadeModel(CascadeFields):
    """What a model does in any framework, beside answering: a mix-in, before the framework's own.

    Its methods are carried out by what the model holds: its router, a `SessionOpener`, a `Learner`,
    its `ShadowPool`. An adapter adds how its children are asked (`_children_to_ask`) and named
    (`_children_by_name`), and how it is copied (`_copy_with`).
    """

    _router: CascadeRouter
    _sessions: SessionOpener
    _shadows: ShadowPool

    def _children_to_ask(self) -> Children:
        """The children, as `collect` asks them."""
        raise NotImplementedError

    @classmethod
    def _children_by_name(cls, models: Any) -> dict[str, Any]:
        """Children by name, as the constructor takes them."""
        raise NotImplementedError

    def _copy_with(self, router: CascadeRouter, max_expected_cost: float | None) -> Self:
        """A copy with another router, which has that budget."""
        raise NotImplementedError

    @property
    def router(self) -> CascadeRouter:
        """The engine's router; fitted once `fit` has been called."""
        return self._router

    @property
    def _learner(self) -> Learner:
        return Learner(self._router, self._children_to_ask())

    # Deciding.

    def _open_session(
        self, query: Query, options: Mapping[str, Any], able: Names[str]
    ) -> tuple[Session, Shadow | None]:
        """A session for one call, and what is to be played behind it in shadow mode.

        There the incumbent answers, whatever it costs, unless the call names a model itself.

        Args:
            query: what is asked.
            options: of this call; see `check_options`.
            able: names of the children that can answer it.
        """

        def opening(options: Mapping[str, Any]) -> Session:
            return self._sessions.open(
                self._router, query, options, max_cost=self.max_cost, able=able
            )

        if self.shadow is None or options.get("model") is not None:
            return opening(options), None
        alone = {"model": self.shadow, "max_cost": None}
        return opening(alone), Shadow(self.shadow, lambda: opening(options))

    async def _tune(self, strategy: Any) -> None:
        """Tunes the strategy that a call names, the first time, without blocking the event loop."""
        if isinstance(strategy, str):
            await asyncio.to_thread(self._sessions.with_call_strategy, self._router, strategy)

    # Learning.

    def collect(self, questions: Sequence[Any], **options: Any) -> Collection:
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
        return self._learner.children.collect(questions, options)

    async def acollect(self, questions: Sequence[Any], **options: Any) -> Collection:
        """`collect`, without blocking the event loop."""
        return await self._learner.children.acollect(questions, options)

    def advise(self, data: CascadeDataset, **options: Any) -> CascadeDataset:
        """Asks the judge and the router about a labelled data set, as `fit` does by itself.

        What comes of it is for `cascade_engine.judge_report`, and for several fits.

        Args:
            data: the data set, which is left as it is.
            **options: those of `cascade_engine.advise`.
        """
        return self._learner.children.advise(data, options)

    def fit(
        self,
        questions: Sequence[Any] | Collection | CascadeDataset,
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
        self._router = self._learner.fit(questions, references, options)
        return self

    async def afit(
        self,
        questions: Sequence[Any] | Collection | CascadeDataset,
        references: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """`fit`, asking the children, and a judge, without blocking the event loop."""
        self._router = await self._learner.afit(questions, references, options)
        return self

    def evaluate(
        self,
        questions: Sequence[Any] | Collection | CascadeDataset,
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
        return self._learner.evaluate(questions, references, options)

    # Other budgets, and other processes.

    def with_budget(self, max_expected_cost: float | None) -> Self:
        """A cascade at another budget that shares this one's children and fit: no refit.

        Raises:
            InfeasibleBudgetError: no policy costs as little.
        """
        router = self._router.with_budget(max_expected_cost)
        return self._copy_with(router, max_expected_cost)

    def save(
        self, path: str | PathLike[str], *, include_fitting_data: bool = False
    ) -> tuple[str, ...]:
        """Writes what was learned, and all settings, to a folder; no child and no key.

        It holds words that are frequent in the fitting questions, and no question or answer. Either
        adapter loads what the other saved.

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
        models: Any = None,
        *,
        llms: Any = None,
        supply: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Self:
        """A cascade as it was saved, on children that are given again. It runs no code of the file.

        Args:
            path: of the folder.
            models: children of the same names, in any order, as for the constructor.
            llms: the same, as LlamaIndex calls them.
            supply: what could not be saved, by its place, as `save` returned them.
            **fields: fields of the constructor that are not saved, such as callbacks; and `judge`
                and `llm_router`, if it was saved with them.

        Raises:
            ConfigurationError: children of other names, or a field that was saved.
            PersistenceError: there is no cascade, it is damaged or of another version, or it needs
                something that `supply` lacks.
        """
        children = cls._children_by_name(given_once(models, llms))
        router, children, saved = restore(path, children, fields, supply)
        build: Any = cls
        cascade: Self = build(models=children, **saved)
        cascade._router = router
        return cascade

    # Shadow mode.

    def join_shadows(self, timeout: float | None = None) -> bool:
        """Waits until the cascade has played all that is under way in shadow mode.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether it has.

        Raises:
            SessionStateError: it is called within an event loop, where `ajoin_shadows` is to be
                awaited.
        """
        return self._shadows.join(timeout)

    async def ajoin_shadows(self, timeout: float | None = None) -> bool:
        """The same, without blocking the event loop."""
        return await self._shadows.ajoin(timeout)
