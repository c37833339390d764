"""The scripted server, asked by the SDK that the adapters' children use."""

from __future__ import annotations

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

openai = pytest.importorskip("openai")

from tests.scripted import Reply, ScriptedServer, ToolCall, plain

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture
def client(scripted_server):
    with openai.OpenAI(
        base_url=scripted_server.base_url, api_key="test", max_retries=0
    ) as connected:
        yield connected


@pytest.fixture
def ask(scripted_server, client):
    """Asks a model with a script of its own: the first choice, or all chunks."""

    def run(script=None, text="What is 2 + 40?", **options):
        if script is not None:
            scripted_server.script("m", script)
        messages = options.pop("messages", [{"role": "user", "content": text}])
        return client.chat.completions.create(model="m", messages=messages, **options)

    return run


def told(chunks):
    """A stream's text, arguments by call, and the reasons for which it ended."""
    text, calls, reasons = "", {}, []
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or choice.delta.refusal or ""
            for call in choice.delta.tool_calls or ():
                name, so_far = calls.get(call.index, (call.function.name, ""))
                calls[call.index] = (name, so_far + (call.function.arguments or ""))
            reasons += [choice.finish_reason] if choice.finish_reason else []
    return text, list(calls.values()), reasons


def test_an_answer_and_its_stream_say_the_same(ask, scripted_server):
    said = Reply("Lima, of  course\n", probability=(0.5, 0.25))
    whole = ask([said, said], logprobs=True, top_logprobs=2)
    chunks = list(
        ask(logprobs=True, top_logprobs=2, stream=True, stream_options={"include_usage": True})
    )
    (choice,) = whole.choices
    assert told(chunks) == (choice.message.content, [], ["stop"]) == (said.text, [], ["stop"])
    streamed = [c.choices[0].logprobs for c in chunks if c.choices and c.choices[0].logprobs]
    assert [entry for logprobs in streamed for entry in logprobs.content] == choice.logprobs.content
    assert [math.exp(t.logprob) for t in choice.logprobs.content] == pytest.approx(
        [0.5, 0.25, 0.5, 0.25]
    )
    assert [len(t.top_logprobs) for t in choice.logprobs.content] == [2] * 4
    assert chunks[-1].usage == whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (8, 4)
    assert [r["model"] for r in scripted_server.requests] == ["m", "m"]


def test_parallel_calls_whole_and_in_pieces(ask):
    said = Reply(calls=(ToolCall("add", {"a": 1, "b": 2}), ToolCall("look", "{broken")))
    whole = ask([said, said], tools=[ADD, LOOK]).choices[0]
    calls = [(c.function.name, c.function.arguments) for c in whole.message.tool_calls]
    assert calls == [("add", '{"a": 1, "b": 2}'), ("look", "{broken")]
    assert len({c.id for c in whole.message.tool_calls}) == 2
    streamed = list(ask(tools=[ADD, LOOK], stream=True))
    assert told(streamed) == ("", calls, ["tool_calls"])
    assert len(streamed) > 6
    assert whole.finish_reason == "tool_calls"
    assert whole.message.content is None


@pytest.mark.parametrize(("given", "kept"), [(True, 4), (False, None)])
def test_calls_with_log_probs_and_without(ask, given, kept):
    said = Reply(calls=(ToolCall("add", {"a": 1, "b": 2}),), call_logprobs=given)
    logprobs = ask(said, tools=[ADD], logprobs=True).choices[0].logprobs
    assert (logprobs and len(logprobs.content)) == kept


def test_no_log_probs_unasked_or_unknown(ask):
    assert ask(Reply("a")).choices[0].logprobs is None
    assert ask(Reply("a", probability=None), logprobs=True).choices[0].logprobs is None


def test_by_default_a_tool_is_called_then_its_result_is_told(ask):
    asked = {"role": "user", "content": "What is 2 + 40?"}
    called = ask(plain, tools=[ADD, LOOK]).choices[0].message
    assert json.loads(called.tool_calls[0].function.arguments) == {"a": 2, "b": 40}
    result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "42"}
    history = [asked, called.model_dump(exclude_none=True), result]
    told = ask(messages=history, tools=[ADD, LOOK]).choices[0].message
    assert told.content == "m answers: What is 2 + 40?"
    forced = ask(messages=history, tools=[ADD, LOOK], tool_choice="required").choices[0].message
    assert forced.tool_calls[0].function.name == "look"
    named = {"type": "function", "function": {"name": "add"}}
    again = ask(messages=history, tools=[ADD, LOOK], tool_choice=named).choices[0].message
    assert again.tool_calls[0].function.name == "add"
    assert ask(tools=[ADD], tool_choice="none").choices[0].message.tool_calls is None


def test_choices_limits_and_refusals(ask):
    several = ask(["one", "two"], n=2)
    assert [c.message.content for c in several.choices] == ["one", "two"]
    cut = ask(Reply("a b c"), max_tokens=2).choices[0]
    assert (cut.message.content, cut.finish_reason) == ("a b", "length")
    stopped = ask(Reply("a b c"), stop=["c", "b"]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("a ", "stop")
    half = ask(Reply(calls=(ToolCall("add", {"a": 1, "b": 2}),)), tools=[ADD], max_tokens=3)
    assert half.choices[0].finish_reason == "length"
    assert half.choices[0].message.tool_calls[0].function.arguments == '{"a": 1, "b":'
    refused = Reply(refusal="I would rather not")
    assert ask(refused).choices[0].message.refusal == "I would rather not"
    assert told(ask(refused, stream=True))[0] == "I would rather not"
    assert ask(Reply("x", no_choices=True)).choices == []
    assert ask(Reply("x", counts=False)).usage is None


def test_json_as_asked(ask):
    said = ask(plain, "JSON with 'setup' and 'end'", response_format={"type": "json_object"})
    assert set(json.loads(said.choices[0].message.content)) == {"setup", "end"}
    form = {"name": "sum", "schema": ADD["function"]["parameters"]}
    said = ask(plain, "2 + 3?", response_format={"type": "json_schema", "json_schema": form})
    assert json.loads(said.choices[0].message.content) == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "BadRequestError"), (429, "RateLimitError"), (500, "InternalServerError")],
)
def test_errors(ask, status, error):
    for stream in (False, True):
        with pytest.raises(getattr(openai, error), match="no luck"):
            ask(Reply.error(status, "no luck"), stream=stream)
    assert ask("well").choices[0].message.content == "well"


def test_connections_that_end(ask):
    for stream in (False, True):
        with pytest.raises(openai.APIConnectionError):
            ask(Reply("a b c", cut=0), stream=stream)
    with pytest.raises(openai.APIConnectionError):
        ask(Reply("a b c", cut=2))
    seen = []
    with pytest.raises(httpx.RemoteProtocolError):
        seen.extend(c.choices[0].delta.content for c in ask(Reply("a b c", cut=3), stream=True))
    assert seen == ["", "a", " b"]
    with pytest.raises(json.JSONDecodeError):
        list(ask(Reply("a", malformed=True), stream=True))
    with pytest.raises(json.JSONDecodeError):
        ask(Reply("a", malformed=True))
    assert ask("well").choices[0].message.content == "well"


def test_a_gate_holds_an_answer_back(ask, scripted_server):
    gate = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, Reply("a", gate=gate)) for _ in range(3)]
        scripted_server.wait_for(3)
        assert not any(future.done() for future in waiting)
        gate.set()
        assert [future.result().choices[0].message.content for future in waiting] == ["a"] * 3
    assert scripted_server.most_at_once == 3
    ask("b")
    assert scripted_server.most_at_once == 3


def test_a_gate_within_a_stream(ask):
    gate = threading.Event()
    stream = ask(Reply("a b c", holds={2: gate}), stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "a"]
    gate.set()
    assert told(stream)[0] == " b c"


def test_connections_are_kept_alive(scripted_server):
    scripted_server.script("m")
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    with httpx.Client(base_url=scripted_server.base_url, trust_env=False) as client:
        streams = []
        for extra in ({}, {"stream": True}, {"tools": []}, {}):
            answer = client.post("/chat/completions", json=body | extra)
            streams.append(answer.extensions["network_stream"])
        assert answer.json()["choices"][0]["message"]["content"] == "m answers: Hi"
        assert len(set(map(id, streams))) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tools": []}, "too short"),
        ({"tools": [ADD], "tool_choice": "any"}, "'any'"),
        ({"tool_choice": "auto"}, "only allowed when 'tools'"),
        ({"top_logprobs": 2}, "'logprobs'"),
        ({"stream_options": {"include_usage": True}}, "'stream'"),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"messages": []}, "'messages'"),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": ""}]}, "must follow"),
        ({"messages": [{"role": "assistant", "content": None}]}, "null"),
    ],
)
def test_what_no_provider_would_take_is_refused(ask, scripted_server, wrong, said):
    with pytest.raises(openai.BadRequestError, match=said):
        ask("never said", **wrong)
    assert scripted_server.requests == []


def test_an_open_call_is_refused(ask):
    asked = {"role": "user", "content": "Hi"}
    call = {"id": "7", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    called = {"role": "assistant", "tool_calls": [call]}
    for history in ([asked, called], [asked, called, asked]):
        with pytest.raises(openai.BadRequestError, match="'7'"):
            ask("never said", messages=history)


def test_unknown_models(ask, client, scripted_server):
    with pytest.raises(openai.NotFoundError, match="`m` does not exist"):
        ask()
    scripted_server.script("m")
    assert [model.id for model in client.models.list()] == ["m"]


def test_completions_and_embeddings(client, scripted_server):
    scripted_server.script("m", "a b")
    whole = client.completions.create(model="m", prompt="Hi", logprobs=1)
    assert whole.choices[0].text == "a b"
    assert whole.choices[0].logprobs.tokens == ["a", " b"]
    assert whole.choices[0].logprobs.text_offset == [0, 1]
    streamed = client.completions.create(model="m", prompt="Hi", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == "a b"
    scripted_server.script("m")
    assert client.completions.create(model="m", prompt="Hi").choices[0].text == "m answers: Hi"
    texts = ["red apples", "green apples", "cold water"]
    made = client.embeddings.create(model="m", input=texts)
    red, green, water = (entry.embedding for entry in made.data)
    assert np.dot(red, red) == pytest.approx(1)
    assert np.dot(red, green) > 0.4 > abs(np.dot(red, water))


def test_a_fault_of_the_test_itself_is_told_at_the_end():
    server = ScriptedServer().start()
    server.script("m", ["only this"])
    with openai.OpenAI(base_url=server.base_url, api_key="test", max_retries=0) as client:
        asking = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        client.chat.completions.create(**asking)
        with pytest.raises(openai.InternalServerError, match="at its end"):
            client.chat.completions.create(**asking)
    with pytest.raises(AssertionError, match="at its end"):
        server.stop()


def test_stopping_ends_all_threads():
    before = set(threading.enumerate())
    with ScriptedServer() as server:
        server.script("m")
        client = openai.OpenAI(base_url=server.base_url, api_key="test", max_retries=0)
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before
    client.close()
