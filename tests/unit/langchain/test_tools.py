"""Tools on children of every kind, and what the engine is told of them."""

from __future__ import annotations

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding, RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from cascade_engine import AllModelsFailedError, ConfigurationError, ToolCall
from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._children import adapt, chat_model_of


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Search(BaseModel):
    """Searches."""

    words: str


@pytest.fixture
def tooled(fakes):
    """A child that takes tools in a format of its own, and notes how it is called."""

    class Tooled(fakes.StreamChat):
        style: str = "own"
        seen: list = Field(default_factory=list, exclude=True)

        def bind_tools(self, tools, **options):
            names = [getattr(each, "name", None) or each["name"] for each in tools]
            return self.bind(tools=[f"{self.style} {name}" for name in names], **options)

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            self.seen.append(kwargs)
            return super()._generate(messages, stop, run_manager, **kwargs)

        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            self.seen.append(kwargs)
            return super()._stream(messages, stop, run_manager, **kwargs)

        async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
            self.seen.append(kwargs)
            for piece in self.pieces(messages):
                yield piece

    def build(name, probability=0.5, **fields):
        said = fakes.Say(f"from {name}", probability)
        return Tooled(model_name=name, script=said, seen=[], **fields)

    return build


def record(message):
    return message.response_metadata["cascade"]


async def test_each_child_formats_the_tools_itself(fakes, tooled, ask):
    models = {"weak": tooled("weak", style="first"), "strong": tooled("strong", style="second")}
    llm = CascadeRoutingLLM(models=models, temperature=0.1).bind_tools(
        [add], tool_choice="any", strict=True, parallel_tool_calls=False, other=1
    )
    assert isinstance(llm, RunnableBinding)
    assert record(await ask(llm, "Hi"))["models_run"] == ["weak", "strong"]
    options = {"tool_choice": "any", "strict": True, "parallel_tool_calls": False, "other": 1}
    for name, style in (("weak", "first"), ("strong", "second")):
        (kwargs,) = models[name].seen
        assert kwargs == {"tools": [f"{style} add"], "temperature": 0.1, **options}


def test_options_that_are_not_given_are_not_passed_on(fakes, tooled):
    child = tooled("only")
    CascadeRoutingLLM(models=[child]).bind_tools([add], tool_choice=None).invoke("Hi")
    assert child.seen == [{"tools": ["own add"]}]


async def test_a_child_without_tools_is_left_out(fakes, tooled, ask):
    plain = fakes.StreamChat(model_name="plain", script=fakes.Say("sure", 0.99))
    llm = CascadeRoutingLLM(models={"plain": plain, "tooled": tooled("tooled")})
    message = await ask(llm.bind_tools([add]), "Hi")
    assert record(message)["models_run"] == ["tooled"]
    assert record(await ask(llm, "Hi"))["models_run"] == ["plain"]
    with pytest.raises(ConfigurationError, match=r"model='plain' cannot answer .*\['tooled'\]"):
        await ask(llm.bind_tools([add]), "Hi", model="plain")


def test_where_no_child_takes_tools(fakes):
    llm = fakes.cascade(RunnableLambda(lambda m: AIMessage("hm")))
    with pytest.raises(ConfigurationError, match=r"no child supports tools \(weak: .*strong: "):
        llm.bind_tools([add])
    with pytest.raises(ConfigurationError, match="no child supports structured output"):
        llm.with_structured_output(Search)


def test_a_tool_that_is_none_is_the_childs_own_error(fakes, tooled):
    with pytest.raises(TypeError, match="subscriptable"):
        CascadeRoutingLLM(models=[tooled("only")]).bind_tools([7])


async def test_tools_inside_bindings_and_chains(fakes, tooled, ask):
    child = tooled("only")
    wrapped = {
        "bound": child.bind(user="me"),
        "configured": child.with_config(tags=["t"]).bind(user="me"),
        "chain": RunnableLambda(lambda messages: messages) | child.bind(user="me"),
        "ending": child.bind(user="me") | RunnableLambda(lambda message: message),
        "retried": child.bind(user="me").with_retry(stop_after_attempt=1),
        "spare": child.bind(user="me").with_fallbacks([child]),
    }
    for name, each in wrapped.items():
        llm = CascadeRoutingLLM(models={name: each}).bind_tools([add])
        message = await ask(llm, "Hi", temperature=0)
        assert message.text == "from only", name
        assert child.seen.pop() == {"tools": ["own add"], "user": "me", "temperature": 0}, name


def test_streaming_is_switched_off_where_there_are_tools(fakes, tooled):
    llm = CascadeRoutingLLM(models=[tooled("only")], disable_streaming="tool_calling")
    assert len(list(llm.stream("Hi"))) > 1
    (message,) = llm.bind_tools([add]).stream("Hi")
    assert record(message)["decisions"][0]["final"]


@pytest.fixture
def asked_of(monkeypatch):
    """The queries that the engine saw."""
    seen = []

    def watch(llm):
        session = llm.router.session

        def opened(query, **limits):
            seen.append(query)
            return session(query, **limits)

        monkeypatch.setattr(llm.router, "session", opened)
        return seen

    return watch


async def test_the_engine_is_told_of_tools_and_form(fakes, tooled, ask, asked_of):
    llm = CascadeRoutingLLM(models=[tooled("only")])
    seen = asked_of(llm)
    schema = Search.model_json_schema()
    form = {"type": "json_schema", "json_schema": {"name": "Search", "schema": schema}}
    await ask(llm.bind_tools([add], response_format=form), "Hi")
    await ask(llm, "Hi", tools=[{"type": "function", "function": {"name": "f"}}])
    await ask(llm, "Hi", response_format={"type": "json_object"})
    bound, bare, free = seen
    assert [each["name"] for each in bound.tools] == ["add"]
    assert set(bound.tools[0]["parameters"]["properties"]) == {"a", "b"}
    assert bound.schema["properties"] == schema["properties"]
    assert (bare.tools, bare.schema, free.schema) == (({"name": "f"},), None, None)


@pytest.mark.parametrize(
    ("choice", "is_free"),
    [
        *((free, True) for free in (None, "auto", "none", False, "f", {"type": "auto"})),
        *((bound, False) for bound in ("any", "required", True, "add", {"type": "any"})),
        ({"type": "function", "function": {"name": "add"}}, False),
        ({"type": "tool", "name": "add"}, False),
    ],
)
def test_where_a_tool_has_to_be_called_no_words_fit(fakes, asked_of, choice, is_free):
    class Tooled(fakes.StreamChat):
        def bind_tools(self, tools, **options):
            return self.bind(**options)

    llm = CascadeRoutingLLM(models=[Tooled(model_name="only", script=fakes.Say("Hi", 0.9))])
    seen = asked_of(llm)
    llm.bind_tools([add], tool_choice=choice).invoke("Hi")
    llm.bind_tools([add, {"type": "web_search"}], tool_choice=choice).invoke("Hi")
    all_known, may_be_its_own = seen
    assert all_known.schema == (None if is_free else {"not": {}})
    assert may_be_its_own.schema is None
    assert may_be_its_own.tools[1] == {}


async def test_arguments_that_do_not_fit_tell_against_a_child(fakes, ask):
    def calls(arguments):
        call = {"name": "add", "args": arguments, "id": "1", "type": "tool_call"}
        tokens = [{"token": "x", "logprob": -0.05}] * 3
        meta = {"logprobs": {"content": tokens}, "finish_reason": "tool_calls"}
        return AIMessage("", tool_calls=[call], response_metadata=meta)

    class Calling(fakes.WholeChat):
        def bind_tools(self, tools, **options):
            return self.bind(tools=tools, **options)

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            result = super()._generate(messages, stop, run_manager)
            good = self.model_name == "strong" or not messages[-1].text.startswith("hard")
            message = calls({"a": 1, "b": 2} if good else {"a": "many"})
            message.usage_metadata = result.generations[0].message.usage_metadata
            result.generations[0].message = message
            return result

    llm = fakes.cascade(kind=Calling)
    message = await ask(llm.bind_tools([add]), "Hi")
    assert record(message)["models_run"] == ["weak"]  # its own log-probs, whatever its text
    assert record(message)["decisions"][-1]["quality"]["weak"] == pytest.approx(0.951, abs=1e-3)
    assert message.tool_calls[0]["args"] == {"a": 1, "b": 2}


def test_a_call_is_told_to_the_engine(fakes):
    call = {"name": "add", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    only = RunnableLambda(lambda _: AIMessage("", tool_calls=[call]))
    llm = CascadeRoutingLLM(models={"only": only}, cost=lambda _, answer: seen.append(answer) or 1)
    seen = []
    llm.invoke("Hi")
    assert seen[0].tool_calls == (ToolCall("add", {"a": 1}),)


def test_the_cache_keeps_tools_apart(fakes, tooled):
    cache = InMemoryCache()
    llm = CascadeRoutingLLM(models=[tooled("only")], cache=cache)
    for bound in (
        llm.bind_tools([add]),
        llm.bind_tools([add], tool_choice="any"),
        llm.bind_tools([add.model_copy(update={"name": "plus"})]),
        llm.bind_tools([add]),
        llm,
    ):
        bound.invoke("Hi")
    assert len(cache._cache) == 4


def test_tracers_are_told_of_the_tools(fakes, tooled):
    tracer = fakes.Tracer()
    llm = CascadeRoutingLLM(models=[tooled("only")])
    llm.bind_tools([add], tool_choice="any").invoke("Hi", {"callbacks": [tracer]})
    told = tracer.roots[0].extra["invocation_params"]
    assert told["tools"][0]["function"]["name"] == "add"
    assert told["tool_choice"] == "any"
    assert "cascade_bound" not in repr(tracer.roots[0].extra)


def test_tools_of_a_call_replace_those_that_are_bound(fakes, tooled):
    child = tooled("only")
    CascadeRoutingLLM(models=[child]).bind_tools([add]).invoke("Hi", tools=["mine"])
    assert child.seen == [{"tools": ["mine"]}]


def test_tools_that_are_bound_again_replace_the_first(fakes, tooled):
    child = tooled("only")
    llm = CascadeRoutingLLM(models=[child]).bind(user="me")
    llm.bind_tools([add]).bind_tools([add.model_copy(update={"name": "plus"})]).invoke("Hi")
    assert child.seen == [{"tools": ["own plus"], "user": "me"}]


def test_a_change_needs_a_chat_model(fakes):
    chat = fakes.WholeChat()
    assert chat_model_of(chat.bind(x=1).with_retry()) is chat
    assert chat_model_of(chat.with_fallbacks([chat]) | RunnableLambda(str)) is chat
    assert chat_model_of(RunnableLambda(str)) is None
    for child in (RunnableLambda(str), RunnableLambda(str) | RunnableLambda(str)):
        with pytest.raises(NotImplementedError):
            adapt(child, lambda model: model.no_such_method())


async def test_a_child_whose_tools_fail_is_passed_over(fakes, tooled, ask):
    broken = tooled("weak", probability=0.99)
    broken.script = fakes.Say("x", error=ConnectionError("down"))
    llm = CascadeRoutingLLM(models={"weak": broken, "strong": tooled("strong")})
    assert record(await ask(llm.bind_tools([add]), "Hi"))["models_run"] == ["strong"]
    with pytest.raises(AllModelsFailedError, match="down"):
        await ask(llm.bind_tools([add]), "Hi", model="weak")
