"""`CascadeRoutingLLM`: several chat models behind the interface of one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SkipValidation,
    ValidationError,
    field_validator,
)

from cascade_engine import (
    DEFAULT_STRATEGY,
    Answer,
    Call,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    CostEstimator,
    Evaluation,
    NotFittedError,
    Price,
    QualityEstimator,
    Session,
    Strategy,
    adrive,
    drive,
    evaluate,
)
from cascade_engine._gathering import Gathering
from cascade_engine._saved_cascades import restore, save_cascade
from langchain_cascade._children import name_advisers, name_children
from langchain_cascade._learning import children_of
from langchain_cascade._live import Live
from langchain_cascade._messages import answer_of, as_message, named, query_of, with_record
from langchain_cascade._runs import RUN, Run, open_run, run_below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from os import PathLike

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import Runnable, RunnableConfig
    from typing_extensions import Self

    from cascade_engine._advisers import Adviser
    from cascade_engine._collection import Collection

__all__ = ["CascadeRoutingLLM"]


class CascadeRoutingLLM(BaseChatModel):
    """A chat model that answers each query with the best quality a budget can buy.

    It holds several chat models, the children. For each query it decides which to ask, judges the
    answer by its token log-probabilities, and asks another where that is worth its cost. Before
    `fit` it goes by a conservative rule; after it, by calibrated estimates and the strategy, at
    the budget in expectation.

    Instantiate:
        ```python
        from langchain_cascade import CascadeRoutingLLM, Price

        llm = CascadeRoutingLLM(
            models=[small, large],  # chat models; ask them for log-probs: ChatOpenAI(logprobs=True)
            prices={"small": Price(0.1, 0.4), "large": Price(2.5, 10)},  # USD per million tokens
            max_expected_cost=0.002,  # USD per query
        )
        ```

    Invoke:
        ```python
        message = llm.invoke("What is the capital of Peru?")
        message.response_metadata["cascade"]  # who answered, what was believed, what it cost
        ```

    Fit:
        ```python
        llm.fit(questions, references=answers)
        ```

    Stream:
        A draft that is rejected is never seen. A step that is final whatever it says streams live;
        any other answer is emitted once it has been accepted.

    Attributes:
        models: chat models by name; a list is named after the models. In the order in which a
            cascade escalates: cheap before dear.
        prices: price by model, in USD per million tokens.
        cost: what a call costs: "price", from tokens and prices; "seconds", its latency; or a
            callable of the model's name and the `Answer`.
        max_expected_cost: budget per query, met in expectation once fitted; before that no single
            query is expected to cost more. None for the best quality at any cost.
        max_cost: hard cap on any one query: no model runs that is expected to exceed what is left.
        strategy: "fitted_value_iteration", the default, "reservation_index", "cascade_routing",
            "cascading", "routing", "threshold_cascade", "random_mixing", "single_model", or a
            `Strategy`.
        quality_estimator: `CombinedEstimator()` by default.
        cost_estimator: `PoissonCostEstimator()` by default.
        priors: expected quality of each model before any fit, weak to strong.
        seed: of the coin that mixes two policies to meet a budget exactly.
        clamp_budget: whether a budget below the cheapest policy's cost takes that policy and warns;
            otherwise it raises.
        judge: a chat model that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), chat model)`. It is priced, and recorded, as "judge". Not the `judge`
            of `fit`, which says what is right.
        llm_router: a chat model that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), chat model)`. It is priced, and recorded, as "llm_router".

    Raises:
        ConfigurationError: no models, names that are not distinct, a bad budget, an unknown
            strategy, or prices for models that are not there.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    models: SkipValidation[dict[str, Any]]
    prices: dict[str, Price] = Field(default_factory=dict)
    cost: Any = "price"
    max_expected_cost: float | None = None
    max_cost: float | None = None
    strategy: str | Strategy = DEFAULT_STRATEGY
    quality_estimator: QualityEstimator | None = None
    cost_estimator: CostEstimator | None = None
    priors: list[float] | None = None
    seed: int = 0
    clamp_budget: bool = False
    judge: SkipValidation[Any] = None
    llm_router: SkipValidation[Any] = None

    _router: CascadeRouter = PrivateAttr()
    _advisers: dict[Adviser, Runnable[Any, Any]] = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:  # it wraps what the library itself objects to
            causes = [detail.get("ctx", {}).get("error") for detail in error.errors()]
            for cause in causes:
                if isinstance(cause, ConfigurationError):
                    raise cause from None
            raise

    @field_validator("models", mode="before")
    @classmethod
    def _name_models(cls, models: Any) -> dict[str, Runnable[Any, Any]]:
        return name_children(models)

    def model_post_init(self, context: Any, /) -> None:
        """Builds the router once the fields are known."""
        super().model_post_init(context)
        if self.max_cost is not None and not self.max_cost >= 0:
            raise ConfigurationError(f"max_cost must be a number >= 0, not {self.max_cost}")
        self._advisers = name_advisers(
            {"judge": self.judge, "llm_router": self.llm_router}, list(self.models)
        )
        self._router = CascadeRouter(
            list(self.models),
            strategy=self.strategy,
            quality=self.quality_estimator,
            cost=self.cost_estimator,
            prices=self.prices,
            charge=self.cost,
            budget=self.max_expected_cost,
            priors=self.priors,
            seed=self.seed,
            clamp_budget=self.clamp_budget,
            advisers=list(self._advisers),
        )

    @property
    def router(self) -> CascadeRouter:
        """The engine's router; fitted once `fit` has been called."""
        return self._router

    @property
    def _llm_type(self) -> str:
        return "cascade-routing"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            "models": {name: repr(child) for name, child in self.models.items()},
            "advisers": {each.name: repr(model) for each, model in self._advisers.items()},
            "prices": repr(self.prices),
            "cost": repr(self.cost),
            "priors": self.priors,
            "strategy": self._router.strategy.name,
            "max_expected_cost": self.max_expected_cost,
            "max_cost": self.max_cost,
            "policy": repr(getattr(self._router, "policy_", None)),
        }

    # Learning.

    def collect(self, questions: Sequence[LanguageModelInput], **options: Any) -> Collection:
        """Asks every child every question, and keeps what they answer.

        `fit` does the same; apart, it can be done once, looked at and labelled in several ways:
        `llm.fit(llm.collect(questions, path="answers.jsonl"), references)`.

        Args:
            questions: what to ask.
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
            questions: what to ask every child, or what `collect` returned, or a data set already
                recorded on these models.
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

        Arguments and errors as for `fit`.

        Raises:
            NotFittedError: before `fit`.
        """
        if not self._router.is_fitted:
            raise NotFittedError("evaluate needs a fitted cascade: call fit first")
        data = Gathering(questions, references, options, children_of(self)).data()
        baseline = self._router.with_strategy("random_mixing")
        return evaluate(
            {baseline.strategy.name: baseline, self._router.strategy.name: self._router}, data
        )

    def with_budget(self, max_expected_cost: float | None) -> Self:
        """A cascade at another budget that shares this one's children and fit: no refit.

        Raises:
            InfeasibleBudgetError: no policy costs as little.
        """
        other = self.model_copy(update={"max_expected_cost": max_expected_cost})
        other._router = self._router.with_budget(max_expected_cost)
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
                another strategy can be tuned, and which `evaluate` needs for its baseline.

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

    # Entrances. LangChain hands neither the configuration nor the run to `_generate` and `_stream`,
    # so they are caught here.

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers; see the class."""
        config, kwargs[RUN] = open_run(config, is_async=False)
        return named(super().invoke(input, config, **kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers without blocking the event loop; see the class."""
        config, kwargs[RUN] = open_run(config, is_async=True)
        return named(await super().ainvoke(input, config, **kwargs))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Streams the answer that is returned, and no rejected draft; see the class."""
        config, kwargs[RUN] = open_run(config, is_async=False)
        for chunk in super().stream(input, config, **kwargs):
            yield cast("AIMessageChunk", named(chunk))

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Streams without blocking the event loop; see the class."""
        config, kwargs[RUN] = open_run(config, is_async=True)
        async for chunk in super().astream(input, config, **kwargs):
            yield cast("AIMessageChunk", named(chunk))

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        run: Run | None = kwargs.pop(RUN, None)
        return {
            **super()._get_invocation_params(stop=stop, **kwargs),
            **(run.options if run else {}),
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        run: Run | None = kwargs.pop(RUN, None)
        return super()._get_llm_string(stop=stop, **{**kwargs, **(run.options if run else {})})

    # Answering: a session says what to run, and these run it.

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, is_async=False)
        kwargs = _with_stop(stop, kwargs)
        session = self._session(messages, run)
        drive(session, lambda call: self._ask(call, messages, run, session, **kwargs))
        run.announce(session)
        return _result(session)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, is_async=True)
        kwargs = _with_stop(stop, kwargs)
        session = self._session(messages, run)
        await adrive(session, lambda call: self._aask(call, messages, run, session, **kwargs))
        await run.aannounce(session)
        return _result(session)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, is_async=False)
        kwargs = _with_stop(stop, kwargs)
        session = self._session(messages, run)
        live = Live(session)
        while (call := session.pending) is not None:
            try:
                if call.final:
                    run.announce(session)
                    child = self.models[call.model]
                    for chunk in child.stream(messages, run.child(call.model), **kwargs):
                        yield live.passing(call, chunk)
                    answer = live.end(call)
                else:
                    answer = self._ask(call, messages, run, session, **kwargs)
            except Exception as error:  # noqa: BLE001, PERF203  the session takes it
                live.failed(error)
            else:
                session.answer(answer)
        run.announce(session)
        yield live.close()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        run: Run = kwargs.pop(RUN, None) or run_below(run_manager, is_async=True)
        kwargs = _with_stop(stop, kwargs)
        session = self._session(messages, run)
        live = Live(session)
        while (call := session.pending) is not None:
            try:
                if call.final:
                    await run.aannounce(session)
                    child = self.models[call.model]
                    config = run.child(call.model)
                    async for chunk in child.astream(messages, config, **kwargs):
                        yield live.passing(call, chunk)
                    answer = live.end(call)
                else:
                    answer = await self._aask(call, messages, run, session, **kwargs)
            except Exception as error:  # noqa: BLE001, PERF203  the session takes it
                live.failed(error)
            else:
                session.answer(answer)
        await run.aannounce(session)
        yield live.close()

    def _session(self, messages: Sequence[BaseMessage], run: Run) -> Session:
        return self._router.session(
            query_of(messages),
            budget=run.options.get("max_expected_cost"),
            max_cost=run.options.get("max_cost", self.max_cost),
        )

    def _ask(
        self,
        call: Call,
        messages: list[BaseMessage],
        run: Run,
        session: Session | None = None,
        **kwargs: Any,
    ) -> Answer:
        asked, given, options = self._asked(call, messages, kwargs)
        if not call.is_advice:
            run.announce(session)
        start = time.perf_counter()
        output = asked.invoke(given, run.child(call.model), **options)
        return answer_of(as_message(call.model, output), time.perf_counter() - start)

    async def _aask(
        self,
        call: Call,
        messages: list[BaseMessage],
        run: Run,
        session: Session | None = None,
        **kwargs: Any,
    ) -> Answer:
        asked, given, options = self._asked(call, messages, kwargs)
        if not call.is_advice:
            await run.aannounce(session)
        start = time.perf_counter()
        output = await asked.ainvoke(given, run.child(call.model), **options)
        return answer_of(as_message(call.model, output), time.perf_counter() - start)

    def _asked(
        self, call: Call, messages: list[BaseMessage], options: dict[str, Any]
    ) -> tuple[Runnable[Any, Any], list[BaseMessage], dict[str, Any]]:
        """Who is asked what, with which keywords: an adviser gets its prompt, and no tools."""
        if call.prompt is None:
            return self.models[call.model], messages, options
        asked = next(m for each, m in self._advisers.items() if each.name == call.model)
        return asked, [HumanMessage(call.prompt)], {}


def _with_stop(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What to call a child with: a chain's first step may take no `stop`."""
    return kwargs if stop is None else {**kwargs, "stop": stop}


def _result(session: Session) -> ChatResult:
    message = with_record(session.result.payload, session.trace)
    return ChatResult(generations=[ChatGeneration(message=message)])
