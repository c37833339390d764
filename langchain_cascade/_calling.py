"""The entrances: every way of calling a cascade, and what LangChain is told on the way in."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from langchain_cascade._answering import Answering
from langchain_cascade._callbacks import RUN, Run, open_run, run_below
from langchain_cascade._direct import directly, is_streamed
from langchain_cascade._messages import completed, named, with_record
from langchain_cascade._tools import BOUND, Bound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import RunnableConfig

__all__ = ["Entering"]


class Entering(Answering):
    """The part of `CascadeRoutingLLM` that is called.

    LangChain hands neither the configuration nor the run to `_generate` and `_stream`, so they are
    caught here, and travel on as a keyword.
    """

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers; see the class."""
        kwargs.pop(RUN, None)  # of a stream that is none
        config, run = open_run(config, self, is_async=False)
        messages = directly(self, run, input, kwargs, is_async=False)
        if messages is not None:
            found = self._answered(run, messages, kwargs.pop("stop", None), kwargs)
            return completed(with_record(*found), run.message_id)
        return named(super().invoke(input, config, **{**kwargs, RUN: run}))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answers without blocking the event loop; see the class."""
        kwargs.pop(RUN, None)
        config, run = open_run(config, self, is_async=True)
        messages = directly(self, run, input, kwargs, is_async=True)
        if messages is not None:
            found = await self._aanswered(run, messages, kwargs.pop("stop", None), kwargs)
            return completed(with_record(*found), run.message_id)
        return named(await super().ainvoke(input, config, **{**kwargs, RUN: run}))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Answers chunk by chunk; see the class."""
        config, run = open_run(config, self, is_async=False)
        kwargs[RUN], identifier = run, run.stream_id
        messages = directly(self, run, input, kwargs, is_async=False)
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
        messages = directly(self, run, input, kwargs, is_async=True)
        if messages is None or not is_streamed(self):
            async for chunk in super().astream(input, config, **kwargs):
                yield cast("AIMessageChunk", named(chunk))
            return
        pieces: Any = self._astream(messages, kwargs.pop("stop", None), **kwargs)
        async with aclosing(pieces):
            async for piece in pieces:
                yield completed(cast("AIMessageChunk", piece.message), identifier)

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Any = "v2",
        **kwargs: Any,
    ) -> Any:
        """What happens during a call, as LangChain defines it."""
        if version == "v3":
            config, kwargs[RUN] = open_run(config, self, is_async=False)
        return super().stream_events(input, config, version=version, **kwargs)

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: Any = "v2",
        **kwargs: Any,
    ) -> Any:
        """The same, without blocking the event loop."""
        if version == "v3":
            config, kwargs[RUN] = open_run(config, self, is_async=True)
        return super().astream_events(input, config, version=version, **kwargs)

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

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        run: Run | None = kwargs.get(RUN)
        forced = run.options.get("model") if run else None
        return super()._get_ls_params(stop, **{**({"model": forced} if forced else {}), **kwargs})

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        run: Run | None = kwargs.pop(RUN, None)
        bound: Bound | None = kwargs.pop(BOUND, None)
        return {
            **super()._get_invocation_params(stop=stop or self.stop, **kwargs),
            **(bound.told if bound else {}),
            **(run.options if run else {}),
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        run: Run | None = kwargs.pop(RUN, None)
        bound: Bound | None = kwargs.pop(BOUND, None)
        kwargs = {**kwargs, **(bound.told if bound else {}), **(run.options if run else {})}
        return super()._get_llm_string(stop=stop, **kwargs)
