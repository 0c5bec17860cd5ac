"""Which arguments a ``_target_`` takes, of which types, and which it cannot do without."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from kasmina.recipe import locate
from kasmina.suggest import nearest

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True)
class Signature:
    """The arguments of a target.

    Attributes:
        hints: type of each argument that can be passed by name; ``Any`` where it has none.
        required: those without a default.
        open: whether any other name is taken too.
    """

    hints: dict[str, Any]
    required: frozenset[str]
    open: bool

    @classmethod
    def of(cls, target: Callable[..., Any]) -> "Signature":
        """Read a class or function; one that cannot be read takes anything."""
        try:
            parameters = inspect.signature(target).parameters.values()
        except ValueError:  # some written in C
            return cls({}, frozenset(), True)
        types = _types(target)
        named = [each for each in parameters if each.kind in _NAMED]
        open_ = any(each.kind is each.VAR_KEYWORD for each in parameters)
        return cls(
            hints={
                **(_handed_on(target) if open_ else {}),
                **{each.name: types.get(each.name, Any) for each in named},
            },
            required=frozenset(each.name for each in named if each.default is each.empty),
            open=open_,
        )


def _handed_on(target: Callable[..., Any]) -> dict[str, Any]:
    """What a class with ``**options`` hands on to the class that it comes from."""
    above = target.__mro__[1] if inspect.isclass(target) else object
    return Signature.of(above).hints if above is not object else {}


def _types(target: Callable[..., Any]) -> dict[str, Any]:
    called = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(called, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a name that only a type checker can see
        return {}


def find(path: str) -> Callable[..., Any]:
    """What ``path`` names.

    Raises:
        ImportError: nothing callable; the message names what may have been meant.
    """
    try:
        target = locate(path)
    except ImportError as error:
        raise ImportError(f"cannot import {path!r}: {error}{_meant(path)}") from error
    if not callable(target):
        raise ImportError(f"{path!r} is a {type(target).__name__}; a target is called")
    found: Callable[..., Any] = target
    return found


def _meant(path: str) -> str:
    module, _, name = path.rpartition(".")
    try:
        names = [each for each in vars(importlib.import_module(module)) if each[0] != "_"]
    except (ImportError, ValueError):
        return ""
    near = nearest(name, names)
    return f"; did you mean '{module}.{near}'?" if near else ""
