"""What a saved router may hold, each class under a name that does not change.

A file names what it holds, and nothing is ever imported by such a name: it is looked up here, or
refused. Whatever is to be saved is registered where it is defined, by one line:

```python
@persistent("LinearCostEstimator", fitted=("slope_", "intercept_", "lowest_"))
class LinearCostEstimator(CostEstimator): ...
```

A function, or an object that always is the same, is registered too, and then stored by its name.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass, field
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_engine.errors import ConfigurationError, NotFittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Registration",
    "fitting_data_of",
    "persistent",
    "registration",
    "registration_of",
    "remedy_for",
    "retire",
]

T = TypeVar("T", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Registration:
    """How objects of a class are stored; whatever is no class is stored by its name alone.

    Attributes:
        target: the class, function or other object.
        name: what files call it.
        version: of its state; files of later versions are refused.
        fields: attributes that an object always has.
        fitted: attributes that an object has once fitted, all or none.
        fitting_data: attributes that hold the data it was fitted on, saved on request only.
        left_out: attributes that are not saved, each with a function that makes it anew.
        upgrade: turns the state of an older version, and that version, into today's state.
    """

    target: Any
    name: str
    version: int = 1
    fields: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()
    fitting_data: tuple[str, ...] = ()
    left_out: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    upgrade: Callable[[dict[str, Any], int], dict[str, Any]] | None = None


_BY_NAME: dict[str, Registration] = {}
_BY_TARGET: dict[Any, Registration] = {}
_RETIRED: dict[str, str] = {}


def persistent(
    name: str,
    *,
    version: int = 1,
    fields: Sequence[str] | None = None,
    fitted: Sequence[str] = (),
    fitting_data: Sequence[str] = (),
    left_out: Mapping[str, Callable[[], Any]] | None = None,
    upgrade: Callable[[dict[str, Any], int], dict[str, Any]] | None = None,
) -> Callable[[T], T]:
    """Lets routers that hold objects of a class, or hold a function, be saved and loaded.

    Use it as a decorator of a class, or call it with a function, or any hashable object, that is to
    be stored by its name alone. Subclasses are not included: each is registered for itself.

    Args:
        name: what files call it, for good: it may outlive the class's own name and place.
        version: of its state; raised when that changes.
        fields: attributes that an object always has; by default the fields of a dataclass or named
            tuple, or else the parameters of `__init__`.
        fitted: attributes that an object has once fitted.
        fitting_data: attributes that hold the fitting data, saved on request only.
        left_out: attributes not saved, such as caches, each with a function that makes it anew.
        upgrade: turns the state of an older version, and that version, into today's state.

    Raises:
        ConfigurationError: the name is taken, or the class holds more than its attributes, as a
            subclass of `list` does.
    """

    def register(target: T) -> T:
        cls: Any = target
        is_class = inspect.isclass(cls)
        if is_class and not _has_attributes_only(cls):
            raise ConfigurationError(
                f"{target!r} holds more than its attributes, which would be lost: hold it in one"
            )
        other = _BY_NAME.get(name)
        # A module or a notebook's cell that is run again defines the same thing anew.
        if other and _place(other.target) != _place(target):
            raise ConfigurationError(
                f"{target!r} cannot be stored as {name!r}, which is {other.target!r}: give another "
                "name"
            )
        own = _fields_of(cls) if is_class and fields is None else fields or ()
        parts = tuple(own), tuple(fitted), tuple(fitting_data), dict(left_out or {})
        _BY_NAME[name] = _BY_TARGET[target] = Registration(target, name, version, *parts, upgrade)
        return target

    return register


def registration(name: str) -> Registration | None:
    """What files mean by a name; None where nothing is registered by it."""
    return _BY_NAME.get(name)


def retire(name: str, remedy: str) -> None:
    """Marks a name that older files hold and that nothing stands for any more.

    Args:
        name: what files call it.
        remedy: what to do, for whoever loads such a file, as the end of a sentence.
    """
    _RETIRED[name] = remedy


def remedy_for(name: str) -> str | None:
    """What to do about a file that holds a retired name; None for any other name."""
    return _RETIRED.get(name)


def registration_of(target: Any) -> Registration | None:
    """How it is stored; None if it was not registered, or is not hashable."""
    try:
        return _BY_TARGET.get(target)
    except TypeError:
        return None


def fitting_data_of(owner: object, attribute: str) -> Any:
    """Fitting data of a fitted object, which one that was loaded may lack.

    Args:
        owner: the object.
        attribute: one of the `fitting_data` of its registration.

    Raises:
        NotFittedError: it was saved without.
    """
    try:
        return getattr(owner, attribute)
    except AttributeError:
        raise NotFittedError(
            f"this {type(owner).__name__} was loaded without its fitting data, which is needed "
            "here: save it with include_fitting_data=True, or fit it again"
        ) from None


def _place(target: Any) -> tuple[str, str]:
    """Where in the code it is defined."""
    defined = target if hasattr(target, "__qualname__") else type(target)
    return defined.__module__, defined.__qualname__


def _has_attributes_only(cls: type[Any]) -> bool:
    """Whether all that its objects hold is in attributes; so it is with named tuples.

    A base that is written in C and holds more, as `list` does, makes its objects itself: by a
    `__new__` written in C.
    """
    bases = [b for b in cls.__mro__[:-1] if isinstance(vars(b).get("__new__"), BuiltinFunctionType)]
    return not bases or (bases == [tuple] and hasattr(cls, "_fields"))


def _fields_of(cls: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(cls):
        return tuple(attribute.name for attribute in dataclasses.fields(cls))
    if issubclass(cls, tuple):
        return tuple(getattr(cls, "_fields", ()))
    if cls.__init__ is object.__init__:
        return ()
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return tuple(parameter.name for parameter in parameters if parameter.kind in named)
