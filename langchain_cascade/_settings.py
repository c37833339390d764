"""What a cascade is made of: its fields, their checks, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    ValidationError,
    field_validator,
)

from cascade_engine import CascadeRouter, ConfigurationError
from cascade_engine.plugin.call_options import SessionOpener
from cascade_engine.plugin.fields import ROUTER_FIELDS, build_router, cannot_assign
from cascade_engine.plugin.model import CascadeModel
from cascade_engine.plugin.names import given_once, own_error, unknown_argument
from cascade_engine.plugin.shadow import ShadowPool
from langchain_cascade._children import chat_model_of, name_advisers, name_children
from langchain_cascade._identity import common_profile, common_provider, digest, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models.model_profile import ModelProfile
    from langchain_core.runnables import Runnable
    from typing_extensions import Self

    from cascade_engine.routing import Adviser


#: Standard parameters that a child takes as keywords of its calls.
_OF_CALLS = ("temperature", "max_tokens", "timeout", "stop")


class Settings(CascadeModel, BaseChatModel):
    """What `CascadeRoutingLLM` is made of: its fields, which it documents, and what they imply."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    models: SkipValidation[dict[str, Any]]
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: Any = None
    stop: list[str] | None = None
    max_retries: int = Field(default=0, ge=0)
    streaming: bool = False
    api_key: SecretStr | None = None

    _router: CascadeRouter = PrivateAttr()
    _advisers: dict[Adviser, Runnable[Any, Any]] = PrivateAttr()
    _providers: dict[str, str | None] = PrivateAttr()
    _sessions: SessionOpener = PrivateAttr(default_factory=SessionOpener)
    _shadows: ShadowPool = PrivateAttr(default_factory=ShadowPool)
    _identity: tuple[CascadeRouter, dict[str, Any]] | None = PrivateAttr(default=None)

    def __init__(self, models: Any = None, *, llms: Any = None, **fields: Any) -> None:
        fields["models"] = models if llms is None else given_once(models, llms)
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise self._objection(error.errors()) or error from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Pydantic's own; the copy goes by what has been learned here.

        Raises:
            ConfigurationError: a field is to be changed that the router was built from.
        """
        for name in update or ():
            if name in ROUTER_FIELDS:
                raise cannot_assign(name)
        return super().model_copy(update=update, deep=deep)

    @classmethod
    def _objection(cls, details: Sequence[Any]) -> ConfigurationError | None:
        """The library's own error for what pydantic objects to, if there is one."""
        extra = [str(one["loc"][0]) for one in details if one["type"] == "extra_forbidden"]
        return unknown_argument(extra[0], sorted(cls.model_fields)) if extra else own_error(details)

    @field_validator("models", mode="before")
    @classmethod
    def _name_models(cls, models: Any) -> dict[str, Runnable[Any, Any]]:
        return name_children(models)

    def model_post_init(self, context: Any, /) -> None:
        """Builds the router once the fields are known."""
        super().model_post_init(context)
        self._advisers = name_advisers(
            {"judge": self.judge, "llm_router": self.llm_router}, list(self.models)
        )
        self._providers = {name: _provider(child) for name, child in self.models.items()}
        self._router = build_router(self, self.models, self._advisers)

    @property
    def _llm_type(self) -> str:
        return "cascade-routing"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: what a cascade has learned is saved by `save`."""
        return False

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        router = self._router
        if self._identity is None or self._identity[0] is not router:
            self._identity = (router, self._identified())
        return {
            **self._identity[1],
            "max_expected_cost": self.max_expected_cost,
            "max_cost": self.max_cost,
            "shadow": self.shadow,
            **self._parameters,
        }

    def _identified(self) -> dict[str, Any]:
        estimators = (self.quality_estimator, self.cost_estimator, self.priors, self.seed)
        return {
            "models": {name: identify(child) for name, child in self.models.items()},
            "advisers": {adviser.name: identify(m) for adviser, m in self._advisers.items()},
            "samples": self._router.samples,
            "strategy": self._router.strategy.name,
            "costs": digest([self.prices, self.cost]),
            "estimators": digest([estimators, list(self._advisers)]),
            "policy": digest([self.strategy, getattr(self._router, "policy_", None)]),
        }

    @property
    def _parameters(self) -> dict[str, Any]:
        """The standard parameters that were given, as keywords for the children."""
        values = {name: getattr(self, name) for name in _OF_CALLS}
        return {name: value for name, value in values.items() if value not in (None, [])}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        """What tracers learn of the model; its provider is that of all children, if any is."""
        return {
            "ls_model_name": f"cascade({', '.join(self.models)})",
            **super()._get_ls_params(stop=stop or self.stop, **kwargs),
            "ls_provider": common_provider(self._providers) or "cascade-routing",
        }

    def _resolve_model_profile(self) -> ModelProfile | None:
        models = [chat_model_of(child) for child in self.models.values()]
        return common_profile(models)  # type: ignore[return-value]

    # Counting tokens is left to the first child that is a chat model: the default asks for weights.
    # A way of counting that was given to the cascade itself comes first.

    @property
    def _token_counter(self) -> BaseChatModel:
        for child in self.models.values():
            model = chat_model_of(child)
            if model is not None:
                return model
        raise ConfigurationError(
            f"no child counts tokens: none of {list(self.models)} is, or holds, a chat model"
        )

    def get_token_ids(self, text: str) -> list[int]:
        """The first child's."""
        own = self.custom_get_token_ids
        return self._token_counter.get_token_ids(text) if own is None else own(text)

    def get_num_tokens(self, text: str) -> int:
        """The first child's."""
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens(text)
        return self._token_counter.get_num_tokens(text)

    def get_num_tokens_from_messages(self, messages: Any, tools: Any = None, **kwargs: Any) -> int:
        """The first child's."""
        keywords = kwargs if tools is None else {"tools": tools, **kwargs}
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, **keywords)
        return self._token_counter.get_num_tokens_from_messages(messages, **keywords)


def _provider(child: Any) -> str | None:
    """The provider of a child, None where it has none or several."""
    model = chat_model_of(child)
    if isinstance(model, Settings):
        return common_provider(model._providers)
    return None if model is None else model._get_ls_params().get("ls_provider")
