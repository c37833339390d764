"""What a cascade is made of: its fields, their checks, and how they are written down."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from llama_index.core.llms.function_calling import FunctionCallingLLM
from pydantic import Field, PrivateAttr, SkipValidation, ValidationError, field_serializer

from cascade_engine.errors import PersistenceError
from cascade_engine.plugin.call_options import SessionOpener
from cascade_engine.plugin.fields import build_router
from cascade_engine.plugin.model import CascadeModel
from cascade_engine.plugin.names import ADVISERS, given_once, own_error, unknown_argument
from cascade_engine.plugin.shadow import ShadowPool
from llamaindex_cascade._children import Child, joint_metadata, name_advisers, name_children
from llamaindex_cascade._options import signals_of
from llamaindex_cascade._serialization import (
    FORMER_FIELDS,
    OBJECT_FIELDS,
    plain_field,
    restored_fields,
    restored_llms,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llama_index.core.base.llms.types import LLMMetadata
    from typing_extensions import Self

    from cascade_engine import CascadeRouter

#: Arguments that LLMs often have, and that only a child can use.
_OF_CHILDREN = (
    *("api_base", "api_key", "temperature", "max_tokens", "timeout"),
    *("additional_kwargs", "context_window", "is_chat_model", "is_function_calling_model"),
    *("logprobs", "http_client", "stop"),
)


class Settings(CascadeModel, FunctionCallingLLM):
    """The fields of `CascadeRoutingLLM`, which documents them."""

    llms: SkipValidation[dict[str, Any]]
    signals: SkipValidation[Any] = None
    max_retries: int = Field(default=0, ge=0)

    _router: CascadeRouter = PrivateAttr()
    _children: dict[str, Child] = PrivateAttr()
    _advisers: dict[str, Child] = PrivateAttr()
    _metadata: LLMMetadata | None = PrivateAttr(default=None)
    _sessions: SessionOpener = PrivateAttr(default_factory=SessionOpener)
    _shadows: ShadowPool = PrivateAttr(default_factory=ShadowPool)

    def __init__(self, llms: Any = None, *, models: Any = None, **options: Any) -> None:
        options = restored_fields(options)
        unknown = sorted(options.keys() - type(self).model_fields.keys())
        if unknown:
            raise unknown_argument(unknown[0], sorted(type(self).model_fields), _OF_CHILDREN)
        children = name_children(restored_llms(given_once(models, llms)))
        try:
            super().__init__(llms=children, **options)
        except ValidationError as error:
            raise own_error(error.errors()) or error from None

    def model_post_init(self, context: Any, /) -> None:
        """Builds the router once the fields are known."""
        super().model_post_init(context)
        if not callable(self.signals):
            signals_of(self.signals)
        self._children = {name: Child(name, llm) for name, llm in self.llms.items()}
        advisers = name_advisers(
            {"judge": self.judge, "llm_router": self.llm_router}, list(self.llms)
        )
        self._advisers = {a.name: Child(a.name, llm) for a, llm in advisers.items()}
        self._router = build_router(self, self.llms, advisers)

    @property
    def metadata(self) -> LLMMetadata:
        """What holds whichever child answers. Read once: a child may ask its server for it."""
        if self._metadata is not None:
            return self._metadata
        metadata = joint_metadata(self._children)
        if all(child.metadata for child in self._children.values()):
            self._metadata = metadata
        return metadata

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """A cascade from what `to_dict` made of one, also with an earlier version's fields."""
        return super().from_dict(
            {k: v for k, v in data.items() if k not in FORMER_FIELDS}, **kwargs
        )

    @field_serializer("llms", *OBJECT_FIELDS, *ADVISERS)
    def _plain(self, value: Any, info: Any) -> Any:
        return plain_field(info.field_name, value)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """All fields but those that hold LLMs, whose keys would be shown."""
        return [(n, v) for n, v in super().__repr_args__() if n not in {"llms", *ADVISERS}]

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A deep copy; a child with connections, which cannot be copied, is shared."""
        memo = {} if memo is None else memo
        for child in (*self._children.values(), *self._advisers.values()):
            try:
                copy.deepcopy(child.llm, memo)
            except TypeError:  # noqa: PERF203  few
                memo[id(child.llm)] = child.llm
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()  # it leaves out what cannot be pickled
        own = set(Settings.model_fields) - set(FunctionCallingLLM.model_fields)
        if lost := sorted(own - set(state["__dict__"])):
            raise PersistenceError(
                f"{lost} cannot be pickled: use functions of a module, or save what was learned "
                "with `save` and give the rest again"
            )
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._router = (state.get("__pydantic_private__") or {}).get("_router", self._router)
