"""The run against its twin: the same run in which no seed, or all but one, has grown.

Initial weights, order of the data, random draws and number of steps are the same, so the
difference is what growth has brought, all that the host has done about it included. It costs
another run; what it says holds for all seeds together unless the twin lacks one alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kasmina.assembly import Plain
from kasmina.attribution.base import Record, Subject, compare
from kasmina.slot import SeedSlot
from kasmina.suggest import unknown

NAME = "twin"

_NONE = {"_target_": "kasmina.control.none.NoGrowth"}
_SCHEDULE = "kasmina.control.schedule.Schedule"
_EQUAL = ("seed", "data", "host", "optimizer", "scheduler", "task", "trainer")


def twin_config(config: Plain, folder: Path, site: str | None = None) -> dict[str, Any]:
    """The config of a twin that is to be trained in ``folder``; its test data is not read.

    Args:
        config: of the run.
        site: of the seed that it lacks; None: it has none at all.

    Raises:
        ValueError: ``site`` is given, and the run had no written timeline, or none that names it.
    """
    controller = _NONE if site is None else _without(config["controller"], site)
    moved: Any = _moved(config, config["paths"]["run_dir"], str(folder))
    callbacks = {**moved["callbacks"]}
    callbacks["lifecycle"] = {**callbacks["lifecycle"], "controller": controller}
    slots = {**moved["slots"], "planted": None} if site is None else moved["slots"]
    return {
        **moved,
        "controller": controller,
        "callbacks": callbacks,
        "slots": slots,
        "logger": {},
        "baseline": None,
        "resume": None,
        "test": False,
        "report": False,
    }


def twin(
    subject: Subject, slots: Sequence[SeedSlot], other: Subject, *, flops: float
) -> list[Record]:
    """One record: of all seeds together, or of the one seed that the twin lacks.

    Args:
        other: the twin's network at its last step.
        flops: that the twin's training took.

    Raises:
        ValueError: the twin was trained otherwise, or its network has more or other seeds.
    """
    for key in _EQUAL:
        if subject.config[key] != other.config[key]:
            raise ValueError(f"no twin: its {key} is another than the run's")
    grown = {slot.site.name for slot in subject.grown()}
    expected = grown - {slot.site.name for slot in slots}
    found = {slot.site.name for slot in other.grown()}
    if found != expected:
        has, wanted = (", ".join(sorted(names)) or "none" for names in (found, expected))
        raise ValueError(f"no twin: its seeds are at {has}; it takes {wanted}")
    cost = flops + subject.samples * (subject.price.evaluation + other.price.evaluation)
    return [compare(subject, slots, subject.scores() - other.scores(), method=NAME, flops=cost)]


def _without(controller: Mapping[str, Any], site: str) -> dict[str, Any]:
    if controller.get("_target_") != _SCHEDULE:
        raise ValueError(
            "--site: a twin that lacks one seed can be made of a run whose controller is a "
            "written timeline (controller=schedule) alone"
        )
    timeline = controller["timeline"]
    kept = [entry for entry in timeline if entry["site"] != site]
    if len(kept) == len(timeline):
        names = {entry["site"] for entry in timeline}
        raise ValueError(unknown("site of the run's timeline", site, names))
    return {**controller, "timeline": kept}


def _moved(value: Any, here: str, there: str) -> Any:
    """The same value with every path below ``here`` led below ``there``."""
    if isinstance(value, Mapping):
        return {key: _moved(each, here, there) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(each, here, there) for each in value]
    below = isinstance(value, str) and (value == here or value.startswith(f"{here}/"))
    return there + value[len(here) :] if below else value
