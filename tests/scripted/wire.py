"""Replies in the form that OpenAI's API gives them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import struct
from dataclasses import dataclass

from tests.scripted.replies import text_of

_CREATED = 1_700_000_000
_IMPOSSIBLE = -9999.0  # what the API reports for a probability of zero
_DIMENSIONS = 64


def tokens(text):
    """Words, each with the white space before it."""
    return re.findall(r"\s*\S+|\s+$", text)


@dataclass(frozen=True)
class Choice:
    """One reply within the limits of a request: pieces of text, and of each call's arguments."""

    reply: object
    request: dict
    text: list
    calls: list  # of (name, pieces)
    reason: str

    @classmethod
    def of(cls, reply, request):
        said = reply.text if reply.refusal is None else reply.refusal
        kept = _before_stop(said, request.get("stop"))
        limit = request.get("max_completion_tokens") or request.get("max_tokens") or math.inf
        room = iter(range(limit)) if limit < math.inf else itertools.count()
        text = [piece for piece, _ in zip(tokens(kept), room, strict=False)]
        calls = [
            (call.name, [p for p, _ in zip(tokens(call.json), room, strict=False)])
            for call in reply.calls
        ]
        whole = kept + "".join(call.json for call in reply.calls)
        spoken = "".join(text) + "".join("".join(pieces) for _, pieces in calls)
        reason = "length" if spoken != whole else "tool_calls" if calls else "stop"
        return cls(reply, request, text, calls, reply.finish_reason or reason)

    @property
    def size(self):
        return len(self.text) + sum(len(pieces) for _, pieces in self.calls)

    def levels(self):
        """The probability of each token."""
        given = self.reply.probability
        return itertools.cycle(given if isinstance(given, (list, tuple)) else [given])

    @property
    def has_logprobs(self):
        asked = self.request.get("logprobs")
        return asked not in (None, False) and self.reply.probability is not None


class Chat:
    """`/v1/chat/completions`."""

    def __init__(self, number, request, replies):
        self.identity = f"chatcmpl-{request['model']}-{number}"
        self.number = number
        self.request = request
        self.replies = replies
        self.choices = [Choice.of(reply, request) for reply in replies]

    kind = "chat.completion"

    def whole(self):
        choices = [self._choice(*each) for each in enumerate(self.choices)]
        given = [] if self.replies[0].no_choices else choices
        return self._frame(self.kind, given, usage=self._usage())

    def chunks(self):
        """The stream's chunks."""
        asked = (self.request.get("stream_options") or {}).get("include_usage")
        rest = {"usage": None} if asked else {}
        for index, choice in enumerate(self.choices):
            if choice.reply.no_choices:
                continue
            for piece in self._pieces(index, choice):
                given = {"index": index, "logprobs": None, "finish_reason": None, **piece}
                yield self._frame(self._chunk_kind, [given], **rest)
        if asked:
            yield self._frame(self._chunk_kind, [], usage=self._usage())

    @property
    def _chunk_kind(self):
        return f"{self.kind}.chunk"

    def _frame(self, kind, choices, **rest):
        return {
            "id": self.identity,
            "object": kind,
            "created": _CREATED,
            "model": self.request["model"],
            "system_fingerprint": "fp_scripted",
            "choices": choices,
            **rest,
        }

    def _usage(self):
        if not self.replies[0].counts:
            return None
        read, said = _read(self.request), sum(choice.size for choice in self.choices)
        return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}

    def _choice(self, index, choice):
        text = "".join(choice.text)
        refused = choice.reply.refusal is not None
        message = {"role": "assistant", "content": text or None, "refusal": None}
        if refused:
            message |= {"content": None, "refusal": text}
        elif not choice.calls:
            message["content"] = text
        if choice.calls:
            message["tool_calls"] = [
                self._call(index, i, name, "".join(pieces))
                for i, (name, pieces) in enumerate(choice.calls)
            ]
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(choice, self._sayings(choice)),
            "finish_reason": choice.reason,
        }

    def _pieces(self, index, choice):
        """What the chunks of one choice say."""
        yield {"delta": {"role": "assistant", "content": None if choice.calls else ""}}
        key = "content" if choice.reply.refusal is None else "refusal"
        levels = choice.levels()
        for piece in choice.text:
            said = self._logprobs(choice, [(piece, next(levels))])
            yield {"delta": {key: piece}, "logprobs": said}
        for i, (name, pieces) in enumerate(choice.calls):
            yield {"delta": {"tool_calls": [{"index": i, **self._call(index, i, name, "")}]}}
            for piece in pieces:
                part = {"index": i, "function": {"arguments": piece}}
                level = next(levels)
                said = [(piece, level)] if choice.reply.call_logprobs else []
                yield {
                    "delta": {"tool_calls": [part]},
                    "logprobs": self._logprobs(choice, said) if said else None,
                }
        yield {"delta": {}, "finish_reason": choice.reason}

    def _call(self, index, i, name, arguments):
        function = {"name": name, "arguments": arguments}
        return {"id": f"call_{self.number}_{index}_{i}", "type": "function", "function": function}

    def _sayings(self, choice):
        """Pairs of a token and its probability."""
        calls = [p for _, pieces in choice.calls for p in pieces]
        said = list(zip([*choice.text, *calls], choice.levels(), strict=False))
        return said if choice.reply.call_logprobs else said[: len(choice.text)]

    def _logprobs(self, choice, said):
        if not choice.has_logprobs or not said:
            return None
        top = self.request.get("top_logprobs") or 0
        entries = [
            {**_entry(token, level), "top_logprobs": _alternatives(token, level, top)}
            for token, level in said
        ]
        refused = choice.reply.refusal is not None
        return {"content": None if refused else entries, "refusal": entries if refused else None}


class Completion(Chat):
    """`/v1/completions`."""

    kind = "text_completion"

    @property
    def _chunk_kind(self):
        return self.kind

    def _choice(self, index, choice):
        return {
            "index": index,
            "text": "".join(choice.text),
            "logprobs": self._logprobs(choice, self._sayings(choice)),
            "finish_reason": choice.reason,
        }

    def _pieces(self, index, choice):
        levels = choice.levels()
        for piece in choice.text:
            yield {"text": piece, "logprobs": self._logprobs(choice, [(piece, next(levels))])}
        yield {"text": "", "finish_reason": choice.reason}

    def _logprobs(self, choice, said):
        if not choice.has_logprobs or not said:
            return None
        top = self.request["logprobs"]
        ends = itertools.accumulate(len(token) for token, _ in said)
        tops = [{e["token"]: e["logprob"] for e in _alternatives(*pair, top)} for pair in said]
        return {
            "tokens": [token for token, _ in said],
            "token_logprobs": [_log(level) for _, level in said],
            "top_logprobs": tops if top else None,
            "text_offset": [end - len(token) for end, (token, _) in zip(ends, said, strict=True)],
        }


def embeddings(request):
    """Vectors of hashed words: texts that share words are close."""
    given = request["input"]
    texts = [given] if isinstance(given, str) else given
    data = [
        {"object": "embedding", "index": i, "embedding": _embedding(text, request)}
        for i, text in enumerate(texts)
    ]
    read = sum(len(tokens(text)) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": request["model"], "usage": usage}


def _embedding(text, request):
    vector = [0.0] * (request.get("dimensions") or _DIMENSIONS)
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % len(vector)] += 1 if digest[4] % 2 else -1
    length = math.hypot(*vector)
    vector = [value / length for value in vector] if length else [1.0, *vector[1:]]
    if request.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector


def _before_stop(text, stop):
    stops = [stop] if isinstance(stop, str) else stop or []
    return text[: min([len(text), *(at for s in stops if (at := text.find(s)) >= 0)])]


def _read(request):
    """Tokens of the prompt: words, and a few for each message and each image."""
    if "messages" not in request:
        return len(tokens(text_of(request["prompt"])))
    count = len(tokens(json.dumps(request["tools"]))) if request.get("tools") else 0
    for message in request["messages"]:
        content = message.get("content")
        count += 3 + len(tokens(text_of(content)))
        count += 85 * sum("image_url" in p for p in content or () if isinstance(p, dict))
        for call in message.get("tool_calls") or ():
            count += len(tokens(call["function"]["arguments"]))
    return count


def _log(probability):
    return math.log(probability) if probability > 0 else _IMPOSSIBLE


def _entry(token, level):
    return {"token": token, "logprob": _log(level), "bytes": list(token.encode())}


def _alternatives(token, level, count):
    """The likeliest tokens: the one said, and others that share what is left."""
    others = [(f"{token}{i}", (1 - level) / 2**i) for i in range(1, count)]
    ranked = sorted([(token, level), *others], key=lambda pair: -pair[1])
    return [_entry(*pair) for pair in ranked[:count]]
