"""Drafts that are asked for by streaming, so that they can be broken off while they are written."""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from cascade_engine import Usage
from cascade_engine.errors import DraftAbandonedError
from cascade_engine.routing.abandonment import CHARACTERS_PER_TOKEN, DraftWatch

if TYPE_CHECKING:
    from cascade_engine import Answer, Session
    from llamaindex_cascade._children import Begun, Child
    from llamaindex_cascade._requests import Request

__all__ = ["adrafted", "drafted"]


def drafted(child: Child, request: Request, session: Session) -> Answer:
    """A child's answer to a session's pending call.

    Raises:
        DraftAbandonedError: it was not worth finishing.
    """
    begun = child.begin(request)
    with closing(begun.rest):
        draft = _Draft(child, request, session, begun)
        for chunk in begun.rest:
            draft.take(chunk)
    return draft.whole


async def adrafted(child: Child, request: Request, session: Session) -> Answer:
    """The same, without blocking the event loop."""
    begun = await child.abegin(request)
    async with aclosing(begun.rest):
        draft = _Draft(child, request, session, begun)
        async for chunk in begun.rest:
            draft.take(chunk)
    return draft.whole


class _Draft:
    """What a child has written so far."""

    def __init__(self, child: Child, request: Request, session: Session, begun: Begun) -> None:
        self._child = child
        self._request = request
        self._watch = DraftWatch(session)
        self._sent = -(-session.trace.query.length // CHARACTERS_PER_TOKEN)
        self._live = begun.live
        self._look()

    def take(self, chunk: object) -> None:
        """Adds a chunk, and looks."""
        self._request.check(self._child, chunk)
        self._live.passing(chunk)
        self._live.listen()
        self._look()

    def _look(self) -> None:
        answer = self._live.answer
        tokens = len(answer.logprobs or ()) or -(-len(answer.text) // CHARACTERS_PER_TOKEN)
        if self._watch.abandons(tokens, lambda: self._counted(answer, tokens)):
            raise DraftAbandonedError(
                f"the draft of {self._child.name!r} was abandoned after {tokens} tokens",
                self._counted(answer, tokens),
            )

    def _counted(self, answer: Answer, tokens: int) -> Answer:
        """The answer with its tokens, which are counted where the child has not told them yet."""
        if answer.usage is not None and answer.usage.output_tokens:
            return answer
        sent = answer.usage.input_tokens if answer.usage else 0
        return replace(answer, usage=Usage(sent or self._sent, tokens))

    @property
    def whole(self) -> Answer:
        """The whole answer, as the child would have given it at once."""
        answer = self._live.answer
        return replace(answer, payload=answer.payload.model_copy(update={"delta": None}))
