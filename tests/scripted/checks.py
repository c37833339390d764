"""What OpenAI's API refuses: a test must not pass with a request that no provider would take."""

from __future__ import annotations

import json

_ROLES = {"system", "developer", "user", "assistant", "tool"}


def objection(path, request):
    """Why the API would answer 400, or None."""
    if path == "/v1/embeddings":
        return None if request.get("input") else "'input' is a required property"
    if request.get("stream_options") and not request.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if path == "/v1/completions":
        return None if "prompt" in request else "you must provide a prompt"
    return next(filter(None, _objections(request)), None)


def _objections(request):
    messages, tools = request.get("messages"), request.get("tools")
    if not messages:
        yield "[] is too short - 'messages'"
        return
    yield from map(_of_message, messages)
    yield _of_calls(messages)
    if tools is not None:
        yield None if tools else "[] is too short - 'tools'"
        yield _of_choice(request.get("tool_choice"), [t["function"]["name"] for t in tools])
    else:
        for key in ("tool_choice", "parallel_tool_calls"):
            yield f"'{key}' is only allowed when 'tools' are specified." if key in request else None
    if request.get("top_logprobs") is not None and not request.get("logprobs"):
        yield "'top_logprobs' is only allowed when 'logprobs' is enabled."
    if (request.get("response_format") or {}).get("type") == "json_object":
        said = json.dumps(messages).lower()
        yield None if "json" in said else "'messages' must contain the word 'json' in some form"


def _of_message(message):
    if message.get("role") not in _ROLES:
        return f"Invalid value: {message.get('role')!r}. Supported values are: {sorted(_ROLES)}"
    if message.get("content") is None and not message.get("tool_calls"):
        return None if message.get("refusal") else "Invalid value for 'content': got null."
    if message.get("tool_calls") == []:
        return "Invalid 'messages.tool_calls': empty array."
    return None


def _of_calls(messages):
    """Every call is answered at once, and nothing is answered that was not called."""
    open_calls = set()
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return "messages with role 'tool' must follow a message with 'tool_calls'."
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            break
        else:
            open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if open_calls:
        return f"'tool_calls' must be followed by tool messages: no answer to {sorted(open_calls)}"
    return None


def _of_choice(choice, names):
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        return f"Tool choice {choice['function']['name']!r} not found in 'tools' parameter."
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        return f"Invalid value: {choice!r}. Supported values are: 'none', 'auto', and 'required'."
    return None
