"""What the tests of LlamaIndex's components on a cascade build on."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.schema import TextNode

from llamaindex_cascade import CascadeRoutingLLM, Price
from tests.scripted import instance, plain, question_of, sure

if TYPE_CHECKING:
    from tests.scripted import ScriptedServer

PRICES = {"weak": Price(1, 2), "strong": Price(10, 20)}
FACTS = (
    "Lima is the capital of Peru.",
    "The Amazon is the longest river of South America.",
    "Llamas live in the Andes.",
)
#: Options of the two clients: which of them call functions, and which chat.
KINDS = {
    "functions": ({}, {}),
    "mixed": ({"is_function_calling_model": False}, {}),
    "completion": ({"is_function_calling_model": False, "is_chat_model": False},) * 2,
}
ASKED = "What is 2 + 40?"


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


class Words(BaseEmbedding):
    """Texts that share words are close: no model is needed."""

    def _get_text_embedding(self, text):
        vector = [0.0] * 64
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 64] += 1.0
        return vector

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def no_loop():
    """Leaves the thread without an event loop: upstream would make one, and not close it."""
    asyncio.set_event_loop(None)


def facts():
    """An index of some facts."""
    nodes = [TextNode(text=fact, id_=str(i)) for i, fact in enumerate(FACTS)]
    return VectorStoreIndex(nodes, embed_model=Words())


def memory():
    """For a conversation. Upstream's default keeps a data base open when it is gone."""
    return ChatMemoryBuffer.from_defaults(token_limit=4000)


def record(response):
    return response.additional_kwargs["cascade"]


def acting(request):
    """A model that can play along in words: reason and act, write code, fill in a form, judge."""
    told = "\n".join(m.get("content") or "" for m in request.get("messages", ()))
    told = told or question_of(request)
    if "tools" in request:
        return plain(request)
    ways = {
        "Action Input": _reason,
        "<execute>": _code,
        "JSON schema to follow": _fill_in,
        "YES or NO": lambda _told, _model: "YES",
    }
    way = next((way for sign, way in ways.items() if sign in told), _answer)
    return way(told, request["model"])


def _reason(told, model):
    if "Observation: 42" in told:
        return f"Thought: I can answer.\nAnswer: {model} found 42"
    return 'Thought: I need a tool.\nAction: add\nAction Input: {"a": 2, "b": 40}'


def _code(told, model):
    if "Result of executing" in told:
        return f"{model} found 42"
    return "<execute>print(add(2, 40))</execute>"


def _fill_in(told, model):
    schema, _ = json.JSONDecoder().raw_decode(told.split("JSON schema to follow:\n", 1)[1])
    return json.dumps(instance(schema, ASKED))


def _answer(told, model):
    return f"{model} answers"


@dataclass
class Llamas:
    """Makes cascades of two scripted models: the draft is taken, or there is always an escalation.

    Attributes:
        server: where the models are.
        kind: of the models, see `KINDS`.
        answering: the model whose answers are returned.
    """

    server: ScriptedServer
    kind: str = "functions"
    answering: str = "strong"

    def make(self, script=acting, *, weak=None, options=None, **fields):
        """A cascade whose models do as the script says; see `tests.integration.conftest`."""
        level = 0.97 if self.answering == "weak" else 0.5
        first, second = ({**each, **(options or {})} for each in KINDS[self.kind])
        llms = [
            self.server.llm("weak", sure(level, weak or script), **first),
            self.server.llm("strong", sure(0.97, script), **second),
        ]
        return CascadeRoutingLLM(llms, **{"prices": PRICES, **fields})

    def calling(self):
        """The model that answers where tools are offered."""
        return "strong" if self.kind == "mixed" else self.answering

    def asked(self):
        """How often each of the two was asked."""
        return tuple(len(self.server.asked(model)) for model in ("weak", "strong"))

    def rounds(self, count):
        """How often each is asked in so many calls of the cascade, in words."""
        return (count, count if self.answering == "strong" else 0)

    def tool_rounds(self, count):
        """The same where tools are offered."""
        return (0, count) if self.kind == "mixed" else self.rounds(count)
