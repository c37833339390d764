"""What a scripted model says, and what it says by default."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.scripted.schemas import instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; arguments given as a string are sent as they are, valid or not."""

    name: str
    arguments: Mapping | str = field(default_factory=dict)

    @property
    def json(self):
        given = self.arguments
        return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


@dataclass(frozen=True)
class Reply:
    """One answer of a scripted model.

    Attributes:
        text: the answer. It is cut by the request's `stop` and `max_tokens`.
        calls: tools it calls, in parallel; text may stand beside them.
        refusal: said in place of the text.
        probability: of each token, or of one token after the other, in a circle; None where the
            model reports no log-probs even if asked. They come only if the request asks.
        call_logprobs: whether the tokens of tool calls have log-probs: some servers leave them out.
        counts: whether tokens are counted.
        finish_reason: in place of the one that follows from the rest.
        status: an HTTP status other than 200 is an error, with `text` as its message.
        code: the error's code.
        cut: the connection ends after so many chunks of a stream, or halfway through a whole
            answer; at 0, without a word.
        malformed: whether the body, or the first chunk, is no JSON.
        no_choices: whether the list of choices is empty.
        gate: the answer is held back until this is set.
        holds: the same before single chunks of a stream, by their number from 0.
    """

    text: str = ""
    calls: Sequence[ToolCall] = ()
    refusal: str | None = None
    probability: float | Sequence[float] | None = 0.97
    call_logprobs: bool = True
    counts: bool = True
    finish_reason: str | None = None
    status: int = 200
    code: str | None = None
    cut: int | None = None
    malformed: bool = False
    no_choices: bool = False
    gate: Event | None = None
    holds: Mapping[int, Event] = field(default_factory=dict)

    @classmethod
    def call(cls, tool, /, **arguments):
        """Calls one tool."""
        return cls(calls=(ToolCall(tool, arguments),))

    @classmethod
    def error(cls, status, message="scripted", code=None):
        """An error of the API."""
        return cls(message, status=status, code=code)


def plain(request):
    """The default: calls the tool it is given, answers in the form it is asked for, or in words.

    A tool is called when the user has just spoken, or when one has to be called: the first that has
    not been called since. Arguments and answers in JSON are made from the question.
    """
    question = question_of(request)
    if (function := _due(request)) is not None:
        arguments = instance(function.get("parameters") or {}, question)
        return Reply(calls=(ToolCall(function["name"], arguments),))
    if (schema := _wanted(request, question)) is not None:
        return Reply(json.dumps(instance(schema, question), ensure_ascii=False))
    return Reply(f"{request['model']} answers: {question}")


def sure(probability, script=plain):
    """The same script, with another probability of its tokens."""
    return lambda request: replace(said(script, request), probability=probability)


def said(script, request):
    """What a script says: a text, a `Reply`, or a function that returns one of them.

    Raises:
        TypeError: it is none of these.
    """
    if callable(script):
        script = script(request)
    if isinstance(script, str):
        return Reply(script)
    if not isinstance(script, Reply):
        raise TypeError(f"a script says a text or a Reply, not {script!r}")
    return script


def question_of(request):
    """The user's last words, whether the request is a chat or a text to complete."""
    if "messages" not in request:
        return text_of(request["prompt"])
    asked = [m for m in request["messages"] if m["role"] == "user"]
    return text_of((asked or request["messages"])[-1].get("content"))


def text_of(content):
    """The text in a message's content: a string, parts, or nothing."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = [part if isinstance(part, str) else part.get("text", "") for part in content]
    return " ".join(filter(None, parts))


def _due(request):
    """The function to call now, if any."""
    choice = request.get("tool_choice") or "auto"
    functions = {tool["function"]["name"]: tool["function"] for tool in request.get("tools") or ()}
    if isinstance(choice, dict):
        return functions[choice["function"]["name"]]
    if not functions or choice == "none":
        return None
    messages = request["messages"]
    if choice == "auto" and messages[-1]["role"] != "user":
        return None
    *_, last = functions
    called = _called_since(messages)
    return functions[next((name for name in functions if name not in called), last)]


def _called_since(messages):
    """Names of the functions called since the user last spoke."""
    called = set()
    for message in reversed(messages):
        if message["role"] == "user":
            break
        called.update(call["function"]["name"] for call in message.get("tool_calls") or ())
    return called


def _wanted(request, question):
    """The schema the answer has to follow; in JSON mode, of the keys quoted in the question."""
    wanted = request.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        return wanted["json_schema"]["schema"]
    if wanted["type"] == "json_object":
        keys = re.findall(r"['\"`](\w+)['\"`]", question) or ["answer"]
        return {"type": "object", "properties": {key: {} for key in keys}}
    return None
