"""`CascadeRoutingLLM`: several LLMs behind the interface of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from typing_extensions import override

from cascade_engine import ConfigurationError
from llamaindex_cascade._calls import CascadeCall, Response
from llamaindex_cascade._children import children_to_ask, name_children, tool_calls_of
from llamaindex_cascade._messages import with_signals
from llamaindex_cascade._options import (
    ALL_OPTIONS,
    block_of_options,
    options_in_force,
    pop_options,
    signals_of,
)
from llamaindex_cascade._requests import TOOLS, OutputForm, Request, TemplatePrompt
from llamaindex_cascade._settings import Settings
from llamaindex_cascade._structured_output import (
    OWN_MODES,
    ObjectStream,
    announce_end,
    form_call,
)
from llamaindex_cascade._tracing import conversation_key
from llamaindex_cascade.retrieval import retrieved

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from llama_index.core.base.llms.types import (
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
    )
    from llama_index.core.chat_engine.types import AgentChatResponse
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.prompts import BasePromptTemplate
    from llama_index.core.tools.types import BaseTool
    from typing_extensions import Self

    from cascade_engine import CascadeRouter, Query
    from cascade_engine.plugin.training_data import Children

__all__ = ["CascadeRoutingLLM"]


class CascadeRoutingLLM(Settings):
    """An LLM that answers each query with the best quality a budget can buy.

    It holds several LLMs, the children. For each query it decides which to ask, judges the answer
    by its token log-probabilities, its form and whether others agree, and asks another where that
    is worth its cost. Before `fit` it goes by a conservative rule; after it, by calibrated
    estimates and the strategy, at the budget in expectation.

    Instantiate:
        ```python
        from llama_index.llms.openai import OpenAI
        from llamaindex_cascade import CascadeRoutingLLM, Price

        llm = CascadeRoutingLLM(
            llms=[OpenAI("gpt-4.1-mini"), OpenAI("gpt-4.1")],
            prices={"gpt-4.1-mini": Price(0.4, 1.6), "gpt-4.1": Price(2, 8)},
            max_expected_cost=0.005,  # USD per query
        )
        Settings.llm = llm
        ```

    Fit:
        ```python
        llm.fit(questions, references=answers)
        ```

    Record:
        `response.additional_kwargs["cascade"]` says who answered, what was believed, what it cost,
        in plain values. `CascadeDecisionEvent` tells the same to LlamaIndex's instrumentation, in
        the span of the call: also of calls whose responses engines and agents keep to themselves.

    Options of a call:
        ```python
        llm.chat(messages, max_expected_cost=0.01)
        with llm.using(model="gpt-4.1"):
            query_engine.query("...")
        ```

        They are `max_expected_cost`, `max_cost`, `lam` (the trade-off itself, once fitted),
        `strategy` (by name), `model` (a child's name) and `signals`. Any other keyword goes to the
        children.

    Streams:
        A rejected draft is never seen. A step that is final whatever it says streams live; any
        other answer is emitted once it has been accepted.

    Tools and structured output:
        Tools are offered only to children that can call functions. Objects (`structured_predict`,
        `as_structured_llm`) are answered by each child in its own way. An answer that does not fit,
        or calls no tool where one is required, counts as failed, and the next child is asked.

    Prompts:
        Give a `system_prompt` to the cascade: LlamaIndex applies a child's own only in methods of
        the child that a cascade does not call. Formats (`completion_to_prompt`,
        `messages_to_prompt`) are each child's own, unless the cascade has one.

    Retrieval:
        An engine with `RetrievalSignals` among its postprocessors tells the cascade how well
        retrieval went.

    Log-probs and tokens:
        Children of OpenAI's kind are asked for both with each call. Others report them by
        themselves or not at all; unknown is not the same as low. `response.logprobs` is filled.

    Callbacks:
        Children without handlers of their own get the cascade's, so that each call of a child is
        counted once, judges and rejected drafts included.

    Log:
        ```python
        get_dispatcher().add_event_handler(TraceLogHandler("traffic.jsonl"))
        ...
        llm.fit(read_traces("traffic.jsonl"), references)  # asks only who has not answered yet
        drift(llm.router, read_traces("since.jsonl"))  # logged after the fit
        ```

        The handler hears of each call's end by `CascadeTraceEvent`. In shadow mode the user's
        answers come from one child, and the log has what the cascade would have done.

    Serialization:
        `to_dict` and `from_dict` keep settings and children, without keys; `save` and `load` what
        was learned, without children. Pickles and copies keep both.

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
        clamp_budget: whether a budget below the cheapest policy's cost takes that policy and warns,
            once fitted; otherwise it raises.
        judge: an LLM that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), LLM)`. It is priced, and recorded, as "judge". Not the `judge` of
            `fit`, which says what is right.
        llm_router: an LLM that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), LLM)`. It is priced, and recorded, as "llm_router".
        samples: how many further answers are asked of which child, by its name: `{"small": 3}`.
            Once fitted, a draft of it is compared with them: one that is sure says the same again.
            They cost what its calls cost, and `fit` collects them. The child must sample: at
            temperature 0, with a fixed seed or with a cache it repeats itself.
        shadow: the child whose answers users get while the cascade plays along for the record: in
            the background, by the child's own answers where it comes to ask for them. Limits are
            for the cascade alone. At most 16 queries are played at a time, and the rest is skipped;
            their cost is in the log and in callbacks, and not in the record. See `join_shadows`.
        max_retries: how often a child is asked again after an error that may pass, a rate limit
            say, before it counts as failed; in a stream, before its first token. 0 by default: most
            clients try again by themselves.
        signals: what to measure of each query: a function of the `Query` to numbers by name. They
            are in `Query.signals`, for a `QuerySignalEstimator`.

    Raises:
        ConfigurationError: no models, names that are not distinct, a bad budget, an unknown
            strategy, or prices for models that are not there.
    """

    if TYPE_CHECKING:  # else type checkers make one of the fields, and refuse a list of models

        def __init__(self, llms: Any = None, *, models: Any = None, **options: Any) -> None: ...

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of LLM."""
        return "CascadeRoutingLLM"

    def using(self, **options: Any) -> AbstractContextManager[None]:
        """Options for all calls of this cascade within a `with` block.

        That is the way to reach calls that somebody else makes: a query engine, an agent. Blocks
        may be nested: the inner holds. Other tasks and threads are not concerned, but for those
        that are started within.

        Example:
            ```python
            with llm.using(max_expected_cost=0.01):
                engine.query("...")
            ```

        Args:
            **options: `max_expected_cost`, `max_cost`, `lam`, `strategy`, `model`, as for a call;
                and `signals`, numbers by name, or a function of the `Query` to such.

        Raises:
            ConfigurationError: one is not known, cannot work, or contradicts another.
        """
        return block_of_options(self, options, list(self.llms))

    # The eight ways to ask. They are left without LlamaIndex's callback decorators: the children's
    # methods have them, and every call would be counted twice.

    @override
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answers a conversation."""
        return self._open(ChatResponse, messages, kwargs).answer()

    @override
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answers a prompt."""
        keywords = {"formatted": formatted, **kwargs}
        return self._open(CompletionResponse, prompt, keywords).answer()

    @override
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answers a conversation chunk by chunk."""
        return self._open(ChatResponse, messages, kwargs).stream()

    @override
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Answers a prompt chunk by chunk."""
        keywords = {"formatted": formatted, **kwargs}
        return self._open(CompletionResponse, prompt, keywords).stream()

    @override
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answers a conversation without blocking the event loop."""
        return await (await self._aopen(ChatResponse, messages, kwargs)).aanswer()

    @override
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Answers a prompt without blocking the event loop."""
        keywords = {"formatted": formatted, **kwargs}
        return await (await self._aopen(CompletionResponse, prompt, keywords)).aanswer()

    @override
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answers a conversation chunk by chunk, without blocking the event loop."""
        return await (await self._aopen(ChatResponse, messages, kwargs)).astream()

    @override
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Answers a prompt chunk by chunk, without blocking the event loop."""
        keywords = {"formatted": formatted, **kwargs}
        return await (await self._aopen(CompletionResponse, prompt, keywords)).astream()

    @override
    def _get_prompt(self, prompt: BasePromptTemplate, **prompt_args: Any) -> str:
        """A prompt for `complete`: where the cascade has no format, each child lays its own."""
        return TemplatePrompt.of(
            super()._get_prompt(prompt, **prompt_args), self, prompt, prompt_args
        )

    def _open(
        self,
        kind: type[Response],
        content: Any,
        keywords: dict[str, Any],
        form: OutputForm | None = None,
    ) -> CascadeCall[Response]:
        """Decides how a call is to be answered; nobody is asked yet."""
        self._lend_callbacks()
        options = self._pop_options(keywords)
        request = Request.of_call(kind, content, keywords, form, retries=self.max_retries)
        query, able = self._query(request, options), self._able(request)
        session, shadow = self._open_session(query, options, able)
        everybody = self._children | self._advisers
        return CascadeCall(everybody, session, request, self._shadows, self.rate_limiter, shadow)

    async def _aopen(
        self,
        kind: type[Response],
        content: Any,
        keywords: dict[str, Any],
        form: OutputForm | None = None,
    ) -> CascadeCall[Response]:
        """`_open`; the strategy of a call, should it be to tune, is tuned in a thread."""
        await self._tune(self._pop_options(dict(keywords)).get("strategy"))
        return self._open(kind, content, keywords, form)

    def _pop_options(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """The options of a call, which are taken out of its keywords."""
        return options_in_force(self, pop_options(keywords, list(self.llms)))

    def _query(self, request: Request, options: Mapping[str, Any]) -> Query:
        query = with_signals(request.query(), retrieved(request.content))
        for source in (self.signals, options.get("signals")):
            if source is not None:
                query = with_signals(query, signals_of(source, query))
        return query

    def _able(self, request: Request) -> list[str]:
        """Names of the children that can answer a request."""
        if not request.needs_functions:
            return list(self._children)
        able = [name for name, child in self._children.items() if child.calls_tools]
        if not able and request.form is not None:
            raise ConfigurationError(
                f"none of the models {list(self.llms)} can answer in that form: it is asked for by "
                "functions, which none can call"
            )
        return able

    def _lend_callbacks(self) -> None:
        """Gives children without callback handlers of their own the cascade's, as they are now."""
        for child in (*self._children.values(), *self._advisers.values()):
            child.lend(self.callback_manager)

    # Structured answers. Each child gives them in its own way, those that call no functions too.
    # What does not fit counts as failed, and another child is asked. Upstream's streams are
    # generators, which would open the run once their span has ended: these are functions.

    @override
    def structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> Any:
        """An object of a class; see LlamaIndex's own.

        Raises:
            ValidationError: no child's answer fits.
        """
        if self.pydantic_program_mode not in OWN_MODES:
            return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        call = form_call(self, output_cls, prompt, llm_kwargs, prompt_args)
        filled: Any = self._open(*call).answer()
        return announce_end(filled.value)

    @override
    async def astructured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> Any:
        """The same, without blocking the event loop."""
        if self.pydantic_program_mode not in OWN_MODES:
            return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        call = form_call(self, output_cls, prompt, llm_kwargs, prompt_args)
        filled: Any = await (await self._aopen(*call)).aanswer()
        return announce_end(filled.value)

    @override
    def stream_structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> Generator[Any, None, None]:
        """The object as it grows, and at the end as the class has it."""
        if self.pydantic_program_mode not in OWN_MODES:
            return super().stream_structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)
        call = form_call(self, output_cls, prompt, llm_kwargs, prompt_args)
        run = self._open(*call)
        return ObjectStream(run, call.form).versions(run.stream())

    @override
    async def astream_structured_predict(
        self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **prompt_args: Any
    ) -> AsyncGenerator[Any, None]:
        """The same, without blocking the event loop."""
        if self.pydantic_program_mode not in OWN_MODES:
            return await super().astream_structured_predict(
                output_cls, prompt, llm_kwargs, **prompt_args
            )
        call = form_call(self, output_cls, prompt, llm_kwargs, prompt_args)
        run = await self._aopen(*call)
        return ObjectStream(run, call.form).aversions(await run.astream())

    # Tools: offered to the children that can call them, and read by the child that did.

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
        """What `chat` gets: each child is to prepare the tools for itself."""
        last = ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg
        own = {key: kwargs.pop(key) for key in ALL_OPTIONS if key in kwargs}
        keywords = {"messages": [*(chat_history or []), *([last] if last else [])], **own}
        if not tools:
            return keywords
        if not self.metadata.is_function_calling_model:
            raise ConfigurationError(
                f"tools are offered, and none of the models {list(self.llms)} can call functions"
            )
        of_children = {
            "tools": list(tools),
            "verbose": verbose,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_required": tool_required,
            **kwargs,
        }
        return {**keywords, TOOLS: of_children}

    @override
    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tools that a response wants called.

        Each provider writes them its own way: the child that answered reads them.

        Raises:
            ValueError: there are none, and that is an error.
        """
        calls = tool_calls_of(self._children, response, **kwargs)
        if error_on_no_tool_call and not calls:
            raise ValueError("the answer holds no tool call, and at least one was expected")
        return calls

    @override
    def predict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """Asks for a tool call, and makes it; children that call no functions are asked in words.

        See LlamaIndex's own.
        """
        return super().predict_and_call(tools, *args, **self._with_react(kwargs))

    @override
    async def apredict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """The same, without blocking the event loop."""
        return await super().apredict_and_call(tools, *args, **self._with_react(kwargs))

    def _with_react(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Keywords with what upstream's agent needs where no child calls functions."""
        if self.metadata.is_function_calling_model:
            return kwargs
        # Agents are a large import.
        from llama_index.core.agent.react.formatter import ReActChatFormatter  # noqa: PLC0415
        from llama_index.core.agent.react.output_parser import ReActOutputParser  # noqa: PLC0415

        formatter, parser = ReActChatFormatter.from_defaults(), ReActOutputParser()
        return {"react_chat_formatter": formatter, "output_parser": parser, **kwargs}

    # Learning: a question is a string, or messages.

    def _children_to_ask(self) -> Children:
        self._lend_callbacks()
        return children_to_ask(
            self._router, self._children, self._advisers, self._read, self.max_retries
        )

    def _read(self, question: str | Sequence[ChatMessage]) -> tuple[Query, Request, str]:
        """A question to learn from: the engine's query, what children get, and a key."""
        messages = [ChatMessage(content=question)] if isinstance(question, str) else question
        request = Request.of_call(ChatResponse, messages, {}, retries=self.max_retries)
        query = self._query(request, self._pop_options({}))
        return query, request, conversation_key(request.content)

    @classmethod
    def _children_by_name(cls, models: Any) -> dict[str, Any]:
        return name_children(models)

    def _copy_with(self, router: CascadeRouter, max_expected_cost: float | None) -> Self:
        other = self.model_copy(update={"max_expected_cost": max_expected_cost})
        other._router, other._sessions = router, type(self._sessions)()
        return other
