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
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_engine.errors import ConfigurationError, NotFittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Stored", "find", "kept", "persistent", "register", "remedy", "retire", "stored_as"]

_HEAP = 1 << 9  # the mark of classes made by a `class` statement

T = TypeVar("T", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Stored:
    """How a class is stored; what is no class is stored by its name alone.

    Attributes:
        made: the class, function or other object.
        name: what files call it.
        version: of its state; files of later versions are refused.
        fields: attributes that it always has.
        fitted: attributes that it has once fitted, all or none.
        fitting_data: attributes that hold the data it was fitted on, saved on request only.
        left_out: attributes that are not saved, each with a function that makes it anew.
        upgrade: turns the state of an older version, and that version, into today's state.
    """

    made: Any
    name: str
    version: int = 1
    fields: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()
    fitting_data: tuple[str, ...] = ()
    left_out: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    upgrade: Callable[[dict[str, Any], int], dict[str, Any]] | None = None


_BY_NAME: dict[str, Stored] = {}
_BY_OBJECT: dict[Any, Stored] = {}
_RETIRED: dict[str, str] = {}


def persistent(name: str, **options: Any) -> Callable[[T], T]:
    """Lets routers that hold objects of a class, or hold a function, be saved and loaded.

    Args:
        name: what files call it, for good: it may outlive the class's own name and place.
        **options: as for `register`.
    """

    def decorate(made: T) -> T:
        register(made, name, **options)
        return made

    return decorate


def register(
    made: Any,
    name: str,
    *,
    version: int = 1,
    fields: Sequence[str] | None = None,
    fitted: Sequence[str] = (),
    fitting_data: Sequence[str] = (),
    left_out: Mapping[str, Callable[[], Any]] | None = None,
    upgrade: Callable[[dict[str, Any], int], dict[str, Any]] | None = None,
) -> None:
    """`persistent`, as a function.

    Subclasses are not included: each is registered for itself.

    Args:
        made: a class; or a function, or any hashable object, that is stored by its name alone.
        name: what files call it.
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
    if inspect.isclass(made) and not _has_attributes_only(made):
        raise ConfigurationError(
            f"{made!r} holds more than its attributes, which would be lost: hold it in one"
        )
    taken = _BY_NAME.get(name)
    # A module or a notebook's cell that is run again defines the same thing anew.
    if taken and _place(taken.made) != _place(made):
        raise ConfigurationError(
            f"{made!r} cannot be stored as {name!r}, which is {taken.made!r}: give another name"
        )
    always = _fields_of(made) if fields is None and inspect.isclass(made) else tuple(fields or ())
    stored = Stored(
        made,
        name,
        version,
        always,
        tuple(fitted),
        tuple(fitting_data),
        dict(left_out or {}),
        upgrade,
    )
    _BY_NAME[name] = _BY_OBJECT[made] = stored


def find(name: str) -> Stored | None:
    """What files mean by a name."""
    return _BY_NAME.get(name)


def retire(name: str, what_to_do: str) -> None:
    """Marks a name that older files hold and that nothing stands for any more.

    Args:
        name: what files call it.
        what_to_do: for whoever loads such a file, as the end of a sentence.
    """
    _RETIRED[name] = what_to_do


def remedy(name: str) -> str | None:
    """What to do about a file that holds a retired name; None for any other name."""
    return _RETIRED.get(name)


def stored_as(made: Any) -> Stored | None:
    """How it is stored; None if it was not registered, or is not hashable."""
    try:
        return _BY_OBJECT.get(made)
    except TypeError:
        return None


def kept(owner: object, attribute: str) -> Any:
    """Fitting data of a fitted object, which one that was loaded may lack.

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


def _place(made: Any) -> tuple[str, str]:
    named = made if hasattr(made, "__qualname__") else type(made)
    return named.__module__, named.__qualname__


def _has_attributes_only(made: type[Any]) -> bool:
    """Whether it has no base written in C, but for `object`; named tuples are known."""
    bases = [base for base in made.__mro__ if base is not object and not base.__flags__ & _HEAP]
    return not bases or (bases == [tuple] and hasattr(made, "_fields"))


def _fields_of(made: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(made):
        return tuple(each.name for each in dataclasses.fields(made))
    if issubclass(made, tuple):
        return tuple(getattr(made, "_fields", ()))
    if made.__init__ is object.__init__:
        return ()
    parameters = list(inspect.signature(made.__init__).parameters.values())[1:]
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return tuple(each.name for each in parameters if each.kind in named)
