"""Methods for one query beside those for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Singly"]


class Singly:
    """A class whose methods on many have a counterpart for one, which by default asks them.

    The counterpart may be written anew where that is quicker, to say the same. A subclass that then
    changes what is said of many, and not the counterpart, has the default again.

    Attributes:
        counterparts: names of the methods for one, each with those on many that it stands for.
    """

    counterparts: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Restores the default counterparts of methods that are changed."""
        super().__init_subclass__(**options)
        own = vars(cls)
        for one, many in cls.counterparts.items():
            if one not in own and not own.keys().isdisjoint(many):
                first = next(base for base in reversed(cls.__mro__) if one in vars(base))
                setattr(cls, one, vars(first)[one])
