"""Find runs by what they were told and what came of it, from config.yaml and summary.json alone."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kasmina.report import units
from kasmina.report.parse import RunError, read_yaml
from kasmina.report.runs import walk
from kasmina.suggest import unknown

_TARGET = "_target_"
_CONDITION = re.compile(r"(?P<key>[^<>=!~]+)(?P<sign>>=|<=|!=|=|>|<|~)(?P<value>.*)")
_ORDERED: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}
COLUMNS = ("status", "seed", "best", "parameters", "flops")
"""What the table has of every run."""

DESCENDING = ":desc"


@dataclass(frozen=True)
class Condition:
    """``key`` and what its value must be: ``=`` and ``!=`` take several, ``~`` is a piece of it."""

    key: str
    sign: str
    value: str

    @classmethod
    def read(cls, text: str) -> "Condition | None":
        """From ``key=value`` and the like; None where the text is no such thing."""
        found = _CONDITION.fullmatch(text)
        return cls(found["key"].strip(), found["sign"], found["value"].strip()) if found else None

    def holds(self, value: Any) -> bool:
        """Whether a value meets it; one that is not there meets only ``!=``.

        Raises:
            RunError: a number is asked for, and this is none.
        """
        if self.sign == "~":
            return value is not None and self.value.lower() in str(value).lower()
        if self.sign in {"=", "!="}:
            return any(_same(value, it) for it in _several(self.value)) == (self.sign == "=")
        bound = _number(self.value)
        if bound is None:
            raise RunError(f"{self.key}{self.sign}{self.value}: {self.value!r} is no number")
        known = _number(value)
        return known is not None and _ORDERED[self.sign](known, bound)


@dataclass(frozen=True)
class Found:
    """A run folder, and what its summary says; the config is read when a key of it is asked for."""

    folder: Path
    facts: Mapping[str, Any]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every key of the config by its dotted name; a section by the class it is made of."""
        path = self.folder / "config.yaml"
        return _flat(read_yaml(path)) if path.is_file() else {}

    def get(self, key: str) -> Any:
        """The fact or the config's value of that name, or None."""
        return self.facts[key] if key in self.facts else self.config.get(key)


def find(
    folders: Sequence[Path],
    conditions: Sequence[Condition] = (),
    *,
    sort: str | None = None,
    columns: Sequence[str] = (),
) -> list[Found]:
    """The runs in folders that meet every condition, in natural order of their folders.

    Args:
        sort: key to sort by instead, ``key:desc`` from the largest; runs without it come last.
        columns: further keys that must be known.

    Raises:
        RunError: a folder does not exist, holds no run, or no run knows a key that is asked for.
    """
    paths = dict.fromkeys(run for folder in folders for run in walk(folder)[0])
    if not paths:
        raise RunError(f"no run in {', '.join(map(str, folders))}")
    runs = [Found(path, _facts(path)) for path in paths]
    key, descending = _sorting(sort)
    for asked in [*(it.key for it in conditions), *columns, *([key] if key else [])]:
        _check(asked, runs)
    kept = [run for run in runs if all(it.holds(run.get(it.key)) for it in conditions)]
    return _sorted(kept, key, descending) if key else kept


def _sorting(sort: str | None) -> tuple[str, bool]:
    key = sort or ""
    return key.removesuffix(DESCENDING), key.endswith(DESCENDING)


def _sorted(runs: Sequence[Found], key: str, descending: bool) -> list[Found]:
    """Numbers by size, then texts, then the runs that have neither."""
    there = [run for run in runs if run.get(key) is not None]
    there.sort(key=lambda run: _order(run.get(key)), reverse=descending)
    return [*there, *(run for run in runs if run.get(key) is None)]


def _order(value: Any) -> tuple[int, float, str]:
    number = _number(value)
    return (1, 0.0, str(value)) if number is None else (0, number, "")


def _check(key: str, runs: Sequence[Found]) -> None:
    if any(key in run.facts for run in runs) or any(key in run.config for run in runs):
        return
    names = {name for run in runs for name in (*run.facts, *run.config)}
    raise RunError(unknown("key", key, names))


def told(run: Found, key: str) -> str:
    """A value as the table shows it."""
    value = run.get(key)
    if value is None:
        return units.NOTHING
    if key == "flops":
        return units.flops(float(value))
    if key == "best" or "/" in key:
        return units.metric(str(run.facts["monitor"]) if key == "best" else key, float(value))
    return units.count(value) if key == "parameters" else str(value)


def _facts(folder: Path) -> dict[str, Any]:
    """What summary.json says, flat; a metric by its name is its last value."""
    path = folder / "summary.json"
    if not path.is_file():
        return {"status": "unfinished"}
    try:
        whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        best, size, seeds = whole["best"] or {}, whole["parameters"], whole["seeds"]
    except (ValueError, KeyError, TypeError, OSError):
        return {"status": "unreadable"}
    plain = {key: it for key, it in whole.items() if not isinstance(it, (dict, list))}
    return {
        **plain,
        "best": best.get("value"),
        "best_epoch": best.get("epoch"),
        "parameters": size["total"],
        "host_parameters": size["host"],
        "kept": seeds["kept"],
        "pruned": seeds["pruned"],
        **(whole["final"] or {}),
        **(whole["test"] or {}),
    }


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if isinstance(made := value.get(_TARGET), str):
                found[name] = made.rpartition(".")[2].lower()
            found |= _flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def _several(text: str) -> Iterable[str]:
    """Values between commas; a list in brackets is one value."""
    return [text] if text.startswith("[") else text.split(",")


def _same(value: Any, text: str) -> bool:
    """As numbers where both are, else as texts; null, true and false as yaml writes them."""
    known, asked = _number(value), _number(text)
    if known is not None and asked is not None:
        return known == asked
    if value is None or isinstance(value, bool):
        return text.lower() == {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return text.strip("[]").replace(" ", "") == ",".join(map(str, value))
    return str(value).lower() == text.strip().lower()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number
