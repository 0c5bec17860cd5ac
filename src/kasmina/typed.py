"""Overrides as text: as they were typed, and as they are typed again."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"
"""Hydra's key for what stands in no folder's name."""


def quoted(path: Path) -> str:
    """A path as an override's value: a multirun's folders have = and , which mean something."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def chosen(overrides: list[str]) -> list[str]:
    """Of Hydra's own overrides those that were typed, but for the folder of the multirun."""
    return _without(overrides, "hydra.mode", "hydra.sweep.", "hydra.launcher.resume", EXCLUDED)


def inherited(overrides: list[str]) -> list[str]:
    """Of Hydra's own overrides those that a job hands on to another process of its run."""
    many = ("hydra.mode", "hydra.sweep", "hydra/sweeper", "hydra.launcher", "hydra/launcher")
    return _without(overrides, *many, "hydra.run.", "hydra.job.num", "hydra.job.id", EXCLUDED)


def _without(overrides: Any, *keys: str) -> list[str]:
    return [text for text in plain(overrides) if not text.lstrip("+~").startswith(keys)]


def plain(overrides: Any) -> list[str]:
    """Overrides as they were typed: iterating over a config's list would resolve their ${...}"""
    texts: Any = OmegaConf.to_container(overrides) if OmegaConf.is_list(overrides) else overrides
    typed: list[str] = texts
    return typed
