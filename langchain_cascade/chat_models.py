"""`CascadeRoutingLLM`: several chat models behind the interface of one."""

from __future__ import annotations

# LangChain reads the annotations of what `with_fallbacks` hands on: all their names must be there.
from collections.abc import Callable, Sequence  # noqa: TC003  read at run time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import LanguageModelInput  # noqa: TC002  read at run time
from langchain_core.messages import AIMessage  # noqa: TC002  read at run time
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable  # noqa: TC002  read at run time
from langchain_core.tools import BaseTool  # noqa: TC002  read at run time

from cascade_engine import ConfigurationError
from cascade_engine.plugin.call_options import SessionOpener
from langchain_cascade._callbacks import RUN, CallContext, open_run, run_below
from langchain_cascade._calls import CascadeCall, Request, astream_call
from langchain_cascade._children import name_children
from langchain_cascade._collection import children_to_ask
from langchain_cascade._messages import completed, named, query_of, with_record
from langchain_cascade._options import SPECS, call_options
from langchain_cascade._settings import Settings
from langchain_cascade._shortcut import OwnMethods, direct_messages, is_streamed
from langchain_cascade._structured_output import StructuredCascade
from langchain_cascade._tools import (
    BOUND,
    CascadeBinding,
    ToolBinding,
    answer_schema,
    bind,
    query_tools,
)
from langchain_cascade._tracing import OF_QUERY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.messages import AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import RunnableConfig
    from langchain_core.runnables.utils import ConfigurableFieldSpec
    from typing_extensions import Self

    from cascade_engine import CascadeRouter, Trace
    from cascade_engine.plugin.training_data import Children

__all__ = ["CascadeRoutingLLM"]


class CascadeRoutingLLM(Settings):
    """A chat model that answers each query with the best quality a budget can buy.

    It holds several chat models, the children. For each query it decides which to ask, judges the
    answer by its token log-probabilities, its form and whether others agree, and asks another where
    that is worth its cost. Before `fit` it goes by a conservative rule; after it, by calibrated
    estimates and the strategy, at the budget in expectation.

    Setup:
        Install the children's integrations beside it: `pip install "cascade-routing[langchain]"
        langchain-openai`. Their keys are theirs: set `OPENAI_API_KEY`, say.

    Key init args:
        models, prices, max_expected_cost, max_cost and strategy say whom to ask and what to spend;
        temperature, max_tokens, timeout and stop are handed to every child that is called. All are
        below.

    Instantiate:
        ```python
        from langchain_cascade import CascadeRoutingLLM, Price

        llm = CascadeRoutingLLM(
            models=[small, large],  # chat models; ask them for log-probs: ChatOpenAI(logprobs=True)
            prices={"small": Price(0.1, 0.4), "large": Price(2.5, 10)},  # USD per million tokens
            max_expected_cost=0.005,  # USD per query
        )
        ```

    Invoke:
        ```python
        message = llm.invoke("What is the capital of Peru?")
        message.response_metadata["cascade"]  # who answered, what was believed, what it cost
        ```

        What one call may spend, and who answers, can be said with it, in a chain and an agent too:

        ```python
        llm.invoke(question, {"configurable": {"max_expected_cost": 0.01}})
        llm.with_config(configurable={"strategy": "routing"}).invoke(question)
        llm.invoke(question, model="large")  # or max_cost=0.01, ...: each is a keyword too
        ```

        The keys are `max_expected_cost`, `max_cost`, `lam` (the trade-off itself, once fitted),
        `strategy` (by name) and `model` (a child's name).

    Fit:
        ```python
        llm.fit(questions, references=answers)
        ```

    Stream:
        ```python
        for chunk in llm.stream("What is the capital of Peru?"):
            print(chunk.text, end="")
        ```

        A draft that is rejected is never seen. A step that is final whatever it says streams live;
        any other answer is emitted once it has been accepted.

    Async:
        ```python
        await llm.ainvoke("What is the capital of Peru?")
        async for chunk in llm.astream("What is the capital of Peru?"):
            print(chunk.text, end="")
        ```

    Tool calling:
        ```python
        llm.bind_tools([search]).invoke("Who won?").tool_calls
        ```

        Each child gets the tools in its own format; one that takes none is left out. What a child
        calls is judged by its log-probs and by whether it fits the tools; before a fit a call that
        does not fit is never taken while another child can answer. Many providers give no
        log-probs of calls: until a fit those are judged by `priors`.

    Structured output:
        ```python
        llm.with_structured_output(Answer).invoke("Who won?")  # an Answer
        ```

        An answer that does not fit the schema counts as failed, and the next child is asked.

    Token usage:
        `message.usage_metadata` is the accepted call's alone: it is the size of the conversation.
        `get_usage_metadata_callback()` counts every call of every child, and so does the record.

    Logprobs:
        Children need to be asked for them: `ChatOpenAI(logprobs=True)`. An answer without any is
        judged by other signals; unknown is not the same as low.

    Response metadata:
        `message.response_metadata` is that of the child that answered, with its "model_name", and
        under "cascade" the record of how the answer came about, in plain values:

        - "chosen", "models_run", "stopped_because", "model_name": who answered, and why.
        - "total_cost", "total_input_tokens", "total_output_tokens": of all calls, rejected drafts
          and advisers included; None where any is unknown.
        - "strategy", "fitted", "lambda" (or "threshold"), "budget": what decided.
        - "calls": one per child that answered, with "model", "cost", "input_tokens",
          "output_tokens", "seconds", "seconds_to_first_token" (where streamed),
          "tokens_per_second" and "finish_reason".
        - "advice": the calls of judges and routers, and samples.
        - "failures": children that raised, or whose answer could not be used.
        - "decisions": each step's expected qualities and costs, the action, and why.

        Each decision is also announced as the custom event "cascade_decision".

    Log:
        ```python
        llm = CascadeRoutingLLM(..., callbacks=[TraceLogHandler("traffic.jsonl")])
        ...
        llm.fit(read_traces("traffic.jsonl"), references)  # asks only who has not answered yet
        drift(llm.router, read_traces("since.jsonl"))  # logged after the fit
        ```

        The handler hears of each query's end by the custom event "cascade_trace". In shadow mode
        the user's answers come from one child, and the log has what the cascade would have done.

    Attributes:
        models: chat models by name; a list is named after the models. In the order in which a
            cascade escalates: cheap before dear. Also as `llms`, or without a keyword.
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
        judge: a chat model that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), chat model)`. It is priced, and recorded, as "judge". Not the `judge`
            of `fit`, which says what is right.
        llm_router: a chat model that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), chat model)`. It is priced, and recorded, as "llm_router".
        samples: how many further answers are asked of which child, by its name: `{"small": 3}`.
            Once fitted, a draft of it is compared with them: one that is sure says the same again.
            They cost what its calls cost, and `fit` collects them. The child must sample: at
            temperature 0, with a fixed seed or with a cache it repeats itself.
        shadow: the child whose answers users get while the cascade plays along for the record: in
            the background, by the child's own answers where it comes to ask for them. Limits are
            for the cascade alone. At most 16 queries are played at a time, and the rest is skipped;
            their cost is in the log and in callbacks, and not in the message. See `join_shadows`.
        temperature: of every child, in place of its own.
        max_tokens: that an answer may have, in place of the children's own limits.
        timeout: seconds for each call, in place of the children's own.
        stop: words at which an answer ends.
        max_retries: how often a child is asked again after an error that may pass, a rate limit
            say, before it counts as failed. 0 by default: most clients try again by themselves.
        streaming: whether `invoke` streams, for handlers of tokens.
        api_key: taken, as by any chat model, and used by no one: each child has its own.

    Raises:
        ConfigurationError: an argument that it does not have, no models, names that are not
            distinct, a bad budget, an unknown strategy, or prices for models that are not there.
    """

    if TYPE_CHECKING:  # else type checkers make one of the fields, and refuse a list of models

        def __init__(self, models: Any = None, *, llms: Any = None, **fields: Any) -> None: ...

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers; see the class."""
        kwargs.pop(RUN, None)  # of a stream that is none
        config, run = open_run(config, self, is_async=False)
        messages = direct_messages(self, run, input, kwargs, _OWN_METHODS)
        if messages is not None:
            call = self._call(run, messages, kwargs.pop("stop", None), kwargs)
            return completed(with_record(*call.answer()), run.message_id)
        return named(super().invoke(input, config, **{**kwargs, RUN: run}))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers without blocking the event loop; see the class."""
        kwargs.pop(RUN, None)
        config, run = open_run(config, self, is_async=True)
        messages = direct_messages(self, run, input, kwargs, _OWN_METHODS_ASYNC)
        if messages is not None:
            call = await self._acall(run, messages, kwargs.pop("stop", None), kwargs)
            return completed(with_record(*await call.aanswer()), run.message_id)
        return named(await super().ainvoke(input, config, **{**kwargs, RUN: run}))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Answers chunk by chunk; see the class."""
        config, run = open_run(config, self, is_async=False)
        kwargs[RUN], identifier = run, run.stream_id
        messages = direct_messages(self, run, input, kwargs, _OWN_METHODS)
        if messages is None or not is_streamed(self):
            for chunk in super().stream(input, config, **kwargs):
                yield cast("AIMessageChunk", named(chunk))
            return
        for piece in self._stream(messages, kwargs.pop("stop", None), **kwargs):
            yield completed(cast("AIMessageChunk", piece.message), identifier)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Answers chunk by chunk, without blocking the event loop; see the class."""
        config, run = open_run(config, self, is_async=True)
        kwargs[RUN], identifier = run, run.stream_id
        messages = direct_messages(self, run, input, kwargs, _OWN_METHODS_ASYNC)
        if messages is None or not is_streamed(self):
            async for chunk in super().astream(input, config, **kwargs):
                yield cast("AIMessageChunk", named(chunk))
            return
        pieces: Any = self._astream(messages, kwargs.pop("stop", None), **kwargs)
        async with aclosing(pieces):
            async for piece in pieces:
                yield completed(cast("AIMessageChunk", piece.message), identifier)

    def stream_events(
        self, input: Any, config: Any = None, *, version: Any = "v2", **kwargs: Any
    ) -> Any:
        """What happens during a call, as LangChain defines it."""
        if version == "v3":
            config, kwargs[RUN] = open_run(config, self, is_async=False)
        return super().stream_events(input, config, version=version, **kwargs)

    def astream_events(
        self, input: Any, config: Any = None, *, version: Any = "v2", **kwargs: Any
    ) -> Any:
        """The same, without blocking the event loop."""
        if version == "v3":
            config, kwargs[RUN] = open_run(config, self, is_async=True)
        return super().astream_events(input, config, version=version, **kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Gives every child that takes tools these tools, in its own format.

        Args:
            tools: functions, classes, LangChain tools, or schemas.
            tool_choice: "any" to have one called, or a tool's name.
            strict: whether arguments have to follow the schemas, where the provider can.
            parallel_tool_calls: whether several may be called at once, where the provider can.
            **kwargs: further ones of the children's own `bind_tools`.

        Raises:
            ConfigurationError: no child takes tools.
        """
        options = _without_none(
            tool_choice=tool_choice, strict=strict, parallel_tool_calls=parallel_tool_calls
        )
        bound = bind(self.models, tools, {**options, **kwargs})
        return CascadeBinding(bound=self, kwargs={"tools": bound.tools, BOUND: bound}, config={})

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: str | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers in the form of a schema, each child in its own way.

        An answer that cannot be read, or does not fit, counts as failed: another child is asked.

        Args:
            schema: a pydantic class, a `TypedDict`, a JSON schema or an OpenAI function.
            method: "function_calling", "json_schema" or "json_mode"; each child's own by default.
            include_raw: whether to return a dict of "raw", the message with its record, "parsed"
                and "parsing_error", and to raise no error when no child's answer fits.
            strict: whether the provider is to enforce the schema, where it can.
            **kwargs: further ones of the children's own `with_structured_output`.

        Raises:
            ConfigurationError: no child can answer in a form. When asked, the last child's own
                parsing error is raised where no answer fits.
        """
        options = {**_without_none(method=method, strict=strict), **kwargs}
        return StructuredCascade(self, schema, include_raw=include_raw, options=options)

    def bind(self, **kwargs: Any) -> Any:
        """Keywords for every call."""
        return CascadeBinding(bound=self, kwargs=kwargs, config={})

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """A configuration for every call, kept by `bind_tools` and `with_structured_output`."""
        merged = cast("RunnableConfig", {**(config or {}), **kwargs})
        return CascadeBinding(bound=self, config=merged, kwargs={})

    def configurable_fields(self, **fields: Any) -> Any:
        """LangChain's own, before a fit: it builds the model anew for each call.

        Raises:
            ConfigurationError: what was learned would be lost.
        """
        if self.router.is_fitted:
            raise ConfigurationError(
                f"configurable_fields({', '.join(fields)}) would build the cascade anew for each "
                "call, and lose what it has learned: give max_expected_cost, max_cost, lam, "
                'strategy or model under config["configurable"], which needs no preparation'
            )
        return super().configurable_fields(**fields)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The options that a call may have under "configurable"."""
        return list(SPECS)

    # LangChain's own entrances. It hands neither the configuration nor the run to them: both are
    # caught above, and travel on as the keyword `RUN`.

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        run: CallContext = kwargs.pop(RUN, None) or run_below(
            run_manager, self.models, is_async=False
        )
        return _result(*self._call(run, messages, stop, kwargs).answer())

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        run: CallContext = kwargs.pop(RUN, None) or run_below(
            run_manager, self.models, is_async=True
        )
        call = await self._acall(run, messages, stop, kwargs)
        return _result(*await call.aanswer())

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        run: CallContext = kwargs.pop(RUN, None) or run_below(
            run_manager, self.models, is_async=False
        )
        yield from self._call(run, messages, stop, kwargs).stream()

    def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        run: CallContext = kwargs.pop(RUN, None) or run_below(
            run_manager, self.models, is_async=True
        )
        return astream_call(lambda: self._acall(run, messages, stop, kwargs))

    def _generate_with_cache(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        # On its way from `generate` to `_stream` the run would be lost.
        if RUN not in kwargs:
            kwargs[RUN] = run_below(run_manager, self.models, is_async=False)
        return super()._generate_with_cache(messages, stop, run_manager, **kwargs)

    async def _agenerate_with_cache(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if RUN not in kwargs:
            kwargs[RUN] = run_below(run_manager, self.models, is_async=True)
        return await super()._agenerate_with_cache(messages, stop, run_manager, **kwargs)

    async def _acall(
        self,
        run: CallContext,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
    ) -> CascadeCall:
        await self._tune(kwargs.get("strategy") or run.options.get("strategy"))
        return self._call(run, messages, stop, kwargs)

    def _call(
        self,
        run: CallContext,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
    ) -> CascadeCall:
        """One call, about to be answered: what is asked, and the session that decides."""
        bound: ToolBinding | None = kwargs.pop(BOUND, None)
        options = call_options(run.options, kwargs, self.models)
        children: Mapping[str, Any] = self.models
        if bound is not None and kwargs.get("tools") is bound.tools:
            del kwargs["tools"]  # the children have them in their own format
            children, query = bound.children, query_of(messages, bound.offered, bound.schema)
            form: dict[str, Any] = {"tools": bound.tools, "binding": bound.options}
        else:
            tools = query_tools(kwargs.get("tools"))
            query = query_of(messages, tools, answer_schema(kwargs, tools))
            form = {name: kwargs[name] for name in OF_QUERY if name in kwargs}
        session, shadow = self._open_session(query, options, children)
        keywords = {**self._parameters, **kwargs}
        if stop is not None:
            keywords["stop"] = stop
        return CascadeCall(Request(self, run, messages, children, keywords), session, form, shadow)

    # What LangChain tells tracers and caches of a call.

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        run: CallContext | None = kwargs.get(RUN)
        forced = run.options.get("model") if run else None
        return super()._get_ls_params(stop, **{**({"model": forced} if forced else {}), **kwargs})

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        run: CallContext | None = kwargs.pop(RUN, None)
        bound: ToolBinding | None = kwargs.pop(BOUND, None)
        return {
            **super()._get_invocation_params(stop=stop or self.stop, **kwargs),
            **(bound.options if bound else {}),
            **(run.options if run else {}),
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        run: CallContext | None = kwargs.pop(RUN, None)
        bound: ToolBinding | None = kwargs.pop(BOUND, None)
        kwargs = {**kwargs, **(bound.options if bound else {}), **(run.options if run else {})}
        return super()._get_llm_string(stop=stop, **kwargs)

    # What `CascadeModel` asks for.

    def _children_to_ask(self) -> Children:
        return children_to_ask(self)

    @classmethod
    def _children_by_name(cls, models: Any) -> dict[str, Any]:
        return name_children(models)

    def _copy_with(self, router: CascadeRouter, max_expected_cost: float | None) -> Self:
        copy = self.model_copy()
        copy.__dict__["max_expected_cost"] = max_expected_cost
        copy._router, copy._sessions, copy._identity = router, SessionOpener(), None
        return copy


def _without_none(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _result(message: AIMessage, trace: Trace) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=with_record(message, trace))])


_OWN_METHODS = OwnMethods(CascadeRoutingLLM, is_async=False)
_OWN_METHODS_ASYNC = OwnMethods(CascadeRoutingLLM, is_async=True)
