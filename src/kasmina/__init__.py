"""Networks that grow, prune and adapt their own topology while they train.

Names are imported when they are asked for, so that ``import kasmina`` costs nothing.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kasmina._version import __version__

if TYPE_CHECKING:
    from kasmina.graft import Grafted, graft, ungraft
    from kasmina.lit import GrowingModule
    from kasmina.ramp import Ramp
    from kasmina.recipe import Recipe
    from kasmina.site import Site
    from kasmina.slot import SeedSlot
    from kasmina.stage import Event, Stage

__all__ = [
    "Event",
    "Grafted",
    "GrowingModule",
    "Ramp",
    "Recipe",
    "SeedSlot",
    "Site",
    "Stage",
    "__version__",
    "graft",
    "ungraft",
]

_HOME = {
    "Event": "stage",
    "Grafted": "graft",
    "GrowingModule": "lit",
    "Ramp": "ramp",
    "Recipe": "recipe",
    "SeedSlot": "slot",
    "Site": "site",
    "Stage": "stage",
    "graft": "graft",
    "ungraft": "graft",
}


class _Package(ModuleType):
    """``kasmina.graft`` is the function, also once the module of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "graft" and isinstance(value, ModuleType):
            value = value.graft
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
