"""An ablation on the command line: its config, what is typed beside it, and its jobs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.ablation import PLAN, Ablation
from kasmina.faults import ConfigFaults
from kasmina.typed import quoted

__all__ = ["ablation_of", "checkable", "is_ablation", "quoted", "write_plan"]

_TARGET = "_target_"
_SEED = "seed"


def is_ablation(sweeper: Mapping[str, Any]) -> bool:
    """Whether a sweeper's config is that of ``hydra/sweeper=arms``."""
    return str(sweeper.get(_TARGET, "")).endswith(".ArmsSweeper")


def ablation_of(options: Mapping[str, Any], overrides: Sequence[str]) -> tuple[Ablation, list[str]]:
    """The ablation that a sweeper's config and the command line ask for.

    A sweep that is typed is one more axis, or the axis of that name; one of ``seed`` is the seeds.

    Args:
        options: of the sweeper, as config.
        overrides: as typed.

    Returns:
        The ablation, and the overrides that all of its jobs share.

    Raises:
        ConfigFaults: what is asked for is no ablation.
    """
    plain = {key: _plain(value) for key, value in options.items() if key != _TARGET}
    axes, fixed = dict(plain.pop("axes", None) or {}), []
    for text in overrides:
        each = hydra_api.parse(text)
        key = each.get_key_element()
        if not each.is_sweep_override():
            if key == _SEED:
                plain["seeds"] = [each.value()]
            else:
                fixed.append(text)
        elif not each.is_discrete_sweep():
            raise ConfigFaults(f"{text}: an axis has levels, and a range of real numbers has none")
        elif key == _SEED:
            plain["seeds"] = [int(value) for value in each.sweep_string_iterator()]
        else:
            axes[key] = list(each.sweep_string_iterator())
    try:
        return Ablation.of(axes=axes, **plain), fixed
    except ValueError as error:
        raise ConfigFaults(f"hydra.sweeper.{error}") from error


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def checkable(options: Mapping[str, Any], overrides: Sequence[str], most: int) -> list[list[str]]:
    """The overrides of every arm, as far as they can be checked before any run has ended.

    Args:
        options: of the sweeper, as config.
        overrides: as typed.
        most: jobs.

    Raises:
        ConfigFaults: what is asked for is no ablation.
    """
    ablation, fixed = ablation_of(options, overrides)
    return [[*fixed, *job.alone()] for job in ablation.jobs()[:most]]


def write_plan(folder: Path, ablation: Ablation, name: str) -> None:
    """Write ``ablation.json`` into a multirun's folder."""
    (folder / PLAN).write_text(json.dumps(ablation.record(name), indent=2) + "\n")
