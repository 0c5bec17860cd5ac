"""Build objects from plain values: ``{"_target_": "package.Class", **options}``.

The same plain mapping stands in a Hydra config, in a checkpoint and in a record, so that a seed
is rebuilt in a fresh process without the config that germinated it.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TARGET = "_target_"


def locate(path: str) -> Any:
    """The object at a dotted import path.

    Raises:
        ImportError: nothing importable lies there; the message says up to where it got.
    """
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1) if all(parts) else ():  # "..x" is no name to import
        module_name = ".".join(parts[:cut])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name + ".").startswith(error.name + "."):
                continue
            raise
        for attribute in parts[cut:]:
            if not hasattr(found, attribute):
                raise ImportError(f"{module_name!r} has no {'.'.join(parts[cut:])!r}")
            found = getattr(found, attribute)
        return found
    raise ImportError(f"no module of {path!r} can be imported")


def build(config: Any, *args: Any, **extra: Any) -> Any:
    """Build what ``config`` describes, its nested ``_target_`` mappings first.

    Args:
        config: a mapping with ``_target_``, or a list or mapping that holds such mappings;
            anything else is returned as it is.
        args: positional arguments of the outermost target.
        extra: keyword arguments of the outermost target; they win over the options.
    """
    if isinstance(config, Mapping):
        options = {key: build(value) for key, value in config.items() if key != TARGET}
        if TARGET not in config:
            return options
        return locate(config[TARGET])(*args, **{**options, **extra})
    if isinstance(config, list | tuple):
        return [build(item) for item in config]
    return config


@dataclass(frozen=True)
class Recipe:
    """A named target with options: what a blueprint, an optimizer or an operator is made from."""

    name: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, config: Mapping[str, Any]) -> "Recipe":
        """From a config mapping with ``_target_``."""
        options = {key: value for key, value in config.items() if key != TARGET}
        return cls(name, config[TARGET], options)

    def to_config(self) -> dict[str, Any]:
        """The plain mapping that ``of`` reads."""
        return {TARGET: self.target, **self.options}

    def locate(self) -> Any:
        """The class or function that is called."""
        return locate(self.target)

    def build(self, *args: Any, **extra: Any) -> Any:
        """Call the target."""
        return build(self.to_config(), *args, **extra)
