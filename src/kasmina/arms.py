"""An ablation on the command line: its config, what is typed beside it, and its jobs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.ablation import PLAN, Ablation
from kasmina.atomic import write_text
from kasmina.faults import ConfigFaults
from kasmina.suggest import unknown

_TARGET = "_target_"
_SEED = "seed"
_OPTIONS = ("axes", "baseline", "measure", "question", "seeds")


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
    wrong = [key for key in plain if key not in _OPTIONS]
    if wrong:
        raise ConfigFaults(f"hydra.sweeper: {unknown('option', str(wrong[0]), _OPTIONS)}")
    axes, fixed = plain.pop("axes", None) or {}, []
    if not isinstance(axes, Mapping):
        raise ConfigFaults(f"hydra.sweeper.axes: {axes!r} came; possible: levels by axis")
    axes = dict(axes)
    for text in overrides:
        each = hydra_api.parse(text)
        key = each.get_key_element()
        if each.is_sweep_override() and not each.is_discrete_sweep():
            raise ConfigFaults(f"{text}: an axis has levels, and a range of real numbers has none")
        if key == _SEED:
            plain["seeds"] = _seeds(each)
        elif each.is_sweep_override():
            axes[key] = list(each.sweep_string_iterator())
        else:
            fixed.append(text)
    try:
        ablation = Ablation.of(axes=axes, **plain)
    except ValueError as error:
        raise ConfigFaults(f"hydra.sweeper.{error}") from error
    _check_effect(ablation, fixed)
    return ablation, fixed


def _seeds(override: Any) -> list[Any]:
    """What was typed for the seeds: numbers, or what the ablation will not take for one."""
    if not override.is_sweep_override():
        return [override.value()]
    texts = override.sweep_string_iterator()
    return [int(text) if text.lstrip("-").isdigit() else text for text in texts]


def _check_effect(ablation: Ablation, fixed: Sequence[str]) -> None:
    """Refuse what was typed for all jobs, and every job then says otherwise."""
    typed = {_key(text): text for text in fixed}
    for axis, levels in ablation.axes.items():
        every = set.intersection(*({_key(text) for text in each.overrides} for each in levels))
        for key in every & typed.keys():
            raise ConfigFaults(
                f"{typed[key]}: has no effect, every level of the axis {axis} says what {key} is; "
                f"several values of {key} are an axis"
            )


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def checkable(options: Mapping[str, Any], overrides: Sequence[str], most: int) -> list[list[str]]:
    """Overrides that have every level once, as far as they can be checked before any run has ended.

    Args:
        options: of the sweeper, as config.
        overrides: as typed.
        most: jobs.

    Raises:
        ConfigFaults: what is asked for is no ablation.
    """
    ablation, fixed = ablation_of(options, overrides)
    return [[*fixed, *job.alone()] for job in ablation.samples()[:most]]


def write_plan(folder: Path, ablation: Ablation, name: str) -> None:
    """Write ``ablation.json`` into a multirun's folder."""
    write_text(folder / PLAN, json.dumps(ablation.record(name), indent=2) + "\n")
