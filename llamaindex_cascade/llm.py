"""`CascadeRoutingLLM`: several LLMs behind the interface of one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field, PrivateAttr, SkipValidation
from typing_extensions import override

from cascade_engine import (
    DEFAULT_STRATEGY,
    CascadeDataset,
    CascadeRouter,
    ConfigurationError,
    CostEstimator,
    Evaluation,
    NotFittedError,
    Price,
    QualityEstimator,
    Strategy,
    evaluate,
)
from cascade_engine._evaluation import beside_mixing
from cascade_engine._gathering import Gathering
from cascade_engine._saved_cascades import restore, save_cascade
from llamaindex_cascade._children import (
    Child,
    Request,
    calls_tools,
    joint_metadata,
    name_advisers,
    name_children,
)
from llamaindex_cascade._learning import asked_children
from llamaindex_cascade._messages import RECORD, query_of
from llamaindex_cascade._running import R, Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from llama_index.core.base.llms.types import (
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
    )
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.tools.types import BaseTool
    from typing_extensions import Self

    from cascade_engine._collection import Collection
    from cascade_engine._gathering import Children

__all__ = ["CascadeRoutingLLM"]

#: Keywords of a call that are the cascade's own.
_LIMITS = ("max_expected_cost", "max_cost")
#: The keyword under which tools travel from `_prepare_chat_with_tools` to `chat`, and no further.
_TOOLS = "cascade_tools"


class CascadeRoutingLLM(FunctionCallingLLM):
    """An LLM that answers each query with the best quality a budget can buy.

    It holds several LLMs, the children. For each query it decides which to ask, judges the answer
    by its token log-probabilities, and asks another where that is worth its cost. Before `fit` it
    goes by a conservative rule; after it, by calibrated estimates and the strategy, at the budget
    in expectation.

    Example:
        ```python
        from llama_index.llms.openai import OpenAI
        from llamaindex_cascade import CascadeRoutingLLM, Price

        small = OpenAI("gpt-4.1-mini", additional_kwargs={"logprobs": True})
        large = OpenAI("gpt-4.1", additional_kwargs={"logprobs": True})
        llm = CascadeRoutingLLM(
            llms=[small, large],
            prices={"gpt-4.1-mini": Price(0.4, 1.6), "gpt-4.1": Price(2, 8)},
            max_expected_cost=0.002,
        )
        llm.fit(questions, references=answers)
        response = llm.complete("Which is the longest river of Asia?")
        response.additional_kwargs["cascade"]["stopped_because"]
        ```

    Both limits can be given for one call: `llm.chat(messages, max_cost=0.01)`. Any other keyword
    goes to the children. Rejected drafts are never streamed: a step that is final whatever it says
    streams live, any other answer is emitted once it has been accepted. Children without callback
    handlers of their own get the cascade's, so that each call of a child is counted once. Tools
    are offered only to the children that can call functions; a child that fails is skipped.

    Attributes:
        llms: LLMs by name; a list is named after the models. In the order in which a cascade
            escalates: cheap before dear. The constructor also takes it as `models`.
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
        judge: an LLM that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), LLM)`. It is priced, and recorded, as "judge". Not the `judge` of
            `fit`, which says what is right.
        llm_router: an LLM that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), LLM)`. It is priced, and recorded, as "llm_router".
        samples: how many further answers are asked of which child, by its name: `{"small": 3}`.
            Once fitted, a draft of it is compared with them: one that is sure says the same again.
            They cost what its calls cost, and `fit` collects them. The child must sample: at
            temperature 0, with a fixed seed or with a cache it repeats itself.

    Raises:
        ConfigurationError: no models, names that are not distinct, a bad budget, an unknown
            strategy, or prices for models that are not there.
    """

    # Left out of what is written down: children hold keys.
    llms: SkipValidation[dict[str, Any]] = Field(exclude=True, repr=False)
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
    judge: SkipValidation[Any] = Field(default=None, exclude=True, repr=False)
    llm_router: SkipValidation[Any] = Field(default=None, exclude=True, repr=False)
    samples: SkipValidation[dict[str, int] | None] = None

    _router: CascadeRouter = PrivateAttr()
    _children: dict[str, Child] = PrivateAttr()
    _advisers: dict[str, Child] = PrivateAttr()
    _metadata: LLMMetadata | None = PrivateAttr(default=None)
    _lent: Any = PrivateAttr(default=None)

    def __init__(self, llms: Any = None, *, models: Any = None, **options: Any) -> None:
        if (llms is None) == (models is None):
            raise ConfigurationError("pass either llms=[small, large] or models=[small, large]")
        super().__init__(llms=name_children(models if llms is None else llms), **options)
        if self.max_cost is not None and not self.max_cost >= 0:
            raise ConfigurationError(f"max_cost must be a number >= 0, not {self.max_cost}")
        self._children = {name: Child(name, llm) for name, llm in self.llms.items()}
        advisers = name_advisers(
            {"judge": self.judge, "llm_router": self.llm_router}, list(self.llms)
        )
        self._advisers = {each.name: Child(each.name, llm) for each, llm in advisers.items()}
        self._router = CascadeRouter(
            list(self.llms),
            strategy=self.strategy,
            quality=self.quality_estimator,
            cost=self.cost_estimator,
            prices=self.prices,
            charge=self.cost,
            budget=self.max_expected_cost,
            priors=self.priors,
            seed=self.seed,
            clamp_budget=self.clamp_budget,
            advisers=list(advisers),
            samples=self.samples,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._router = (state.get("__pydantic_private__") or {}).get("_router", self._router)

    @classmethod
    @override
    def class_name(cls) -> str:
        return "CascadeRoutingLLM"

    @property
    def router(self) -> CascadeRouter:
        """The engine's router; fitted once `fit` has been called."""
        return self._router

    @property
    def metadata(self) -> LLMMetadata:
        """What holds whichever child answers. Read once: a child may ask its server for it."""
        if self._metadata is None:
            self._metadata = joint_metadata(self.llms)
        return self._metadata

    # Learning.

    def collect(
        self, questions: Sequence[str | Sequence[ChatMessage]], **options: Any
    ) -> Collection:
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
        return self._asked().collect(questions, options)

    async def acollect(
        self, questions: Sequence[str | Sequence[ChatMessage]], **options: Any
    ) -> Collection:
        """`collect`, without blocking the event loop."""
        return await self._asked().acollect(questions, options)

    def advise(self, data: CascadeDataset, **options: Any) -> CascadeDataset:
        """Asks the judge and the router about a labelled data set, as `fit` does by itself.

        What comes of it is for `cascade_engine.advisers.judge_report`, and for several fits.

        Args:
            data: the data set, which is left as it is.
            **options: those of `cascade_engine.advisers.advise`.
        """
        return self._asked().advise(data, options)

    def fit(
        self,
        questions: Sequence[str | Sequence[ChatMessage]] | Collection | CascadeDataset,
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
        data = Gathering(questions, references, options, self._asked()).data()
        self._router = self._router.refit(data)
        return self

    async def afit(
        self,
        questions: Sequence[str | Sequence[ChatMessage]] | Collection | CascadeDataset,
        references: Sequence[Any] | None = None,
        **options: Any,
    ) -> Self:
        """`fit`, asking the children, and a judge, without blocking the event loop."""
        data = await Gathering(questions, references, options, self._asked()).adata()
        self._router = await asyncio.to_thread(self._router.refit, data)
        return self

    def evaluate(
        self,
        questions: Sequence[str | Sequence[ChatMessage]] | Collection | CascadeDataset,
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
        data = Gathering(questions, references, options, self._asked()).data()
        return evaluate(beside_mixing(self._router), data)

    def with_budget(self, max_expected_cost: float | None) -> Self:
        """A cascade at another budget that shares this one's children and fit: no refit.

        Raises:
            InfeasibleBudgetError: no policy costs as little.
        """
        other = self.model_copy(update={"max_expected_cost": max_expected_cost})
        other._router = self._router.with_budget(max_expected_cost)  # noqa: SLF001  its own class
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
            **fields: fields of the constructor that are not saved, such as `callback_manager`; and
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

    def _asked(self) -> Children:
        self._lend_callbacks()
        advisers = {each: self._advisers[each.name] for each in self._router.advisers}
        router = self._router
        return asked_children(self._children, router.charge, advisers, router.samples)

    # Answering. Left without LlamaIndex's callback decorators: the children's methods have them,
    # and every call would be counted twice.

    @override
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._open(ChatResponse, messages, kwargs).answer()

    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        kwargs["formatted"] = formatted
        return self._open(CompletionResponse, prompt, kwargs).answer()

    @override
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return self._open(ChatResponse, messages, kwargs).stream()

    @override
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        kwargs["formatted"] = formatted
        return self._open(CompletionResponse, prompt, kwargs).stream()

    @override
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return await self._open(ChatResponse, messages, kwargs).aanswer()

    @override
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        kwargs["formatted"] = formatted
        return await self._open(CompletionResponse, prompt, kwargs).aanswer()

    @override
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        return await self._open(ChatResponse, messages, kwargs).astream()

    @override
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        kwargs["formatted"] = formatted
        return await self._open(CompletionResponse, prompt, kwargs).astream()

    def _open(self, kind: type[R], asked: Sequence[ChatMessage] | str, kwargs: Any) -> Run[R]:
        self._lend_callbacks()
        tools = kwargs.pop(_TOOLS, None)
        session = self._router.session(
            query_of(asked),
            budget=kwargs.pop("max_expected_cost", None),
            max_cost=kwargs.pop("max_cost", self.max_cost),
            # Tools are offered only to children that can call them.
            only=[name for name, llm in self.llms.items() if tools is None or calls_tools(llm)],
        )
        request = Request(kind, asked, tools=tools, options=kwargs)
        return Run(self._children | self._advisers, session, request, self.rate_limiter)

    def _lend_callbacks(self) -> None:
        """Gives children without handlers of their own the cascade's, as it is now."""
        for llm in (*self.llms.values(), *(each.llm for each in self._advisers.values())):
            if not llm.callback_manager.handlers or llm.callback_manager is self._lent:
                llm.callback_manager = self.callback_manager
        self._lent = self.callback_manager

    # Tools.

    @override
    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if not self.metadata.is_function_calling_model:
            raise ConfigurationError(
                f"tools are offered, and none of the models {list(self.llms)} can call functions"
            )
        asked = ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg
        limits = {key: kwargs.pop(key) for key in _LIMITS if key in kwargs}
        request = {
            "tools": list(tools),
            "verbose": verbose,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
            **kwargs,
        }
        messages = [*(chat_history or []), *([asked] if asked else [])]
        return {"messages": messages, _TOOLS: request, **limits}

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        # Each provider writes them its own way: the child that answered reads them.
        able = {name: llm for name, llm in self.llms.items() if calls_tools(llm)}
        chosen = response.additional_kwargs.get(RECORD, {}).get("chosen")
        for llm in [able[chosen]] if chosen in able else able.values():
            calls: list[ToolSelection] = llm.get_tool_calls_from_response(
                response, error_on_no_tool_call=False, **kwargs
            )
            if calls:
                return calls
        if error_on_no_tool_call:
            raise ValueError("the answer holds no tool call, and at least one was expected")
        return []
