"""A sweep file of W&B's, read and checked before anything starts.

Format: https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kasmina import hydra_api
from kasmina.faults import ConfigFaults
from kasmina.suggest import unknown

FOLDER = "sweep"
METHODS = ("grid", "random", "bayes")
GOALS = {"maximize": "max", "minimize": "min"}

_KEYS = (
    *("program", "method", "parameters", "metric", "command", "early_terminate", "run_cap"),
    *("name", "description", "project", "entity", "controller", "scheduler", "job", "image_uri"),
)
_NEEDED = ("program", "method", "parameters", "command")
_OF_PARAMETER = (
    *("value", "values", "distribution", "min", "max", "mu", "sigma", "q", "a", "b"),
    *("probabilities", "parameters"),
)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_STARTERS = ("${env}", "${interpreter}", "python", "-m", "/usr/bin/env")
_ARGUMENTS = {
    "${args_no_hyphens}": "",
    "${args_append_hydra}": "+",
    "${args_override_hydra}": "++",
}
"""W&B's macros that give ``key=value``, and what they put before it."""


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        config: as W&B takes it.
        base: the overrides that every run has.
        prefix: of the override of a parameter: nothing, ``+`` or ``++``.
    """

    config: Mapping[str, Any]
    base: tuple[str, ...]
    prefix: str

    @property
    def method(self) -> str:
        """``grid``, ``random`` or ``bayes``."""
        return str(self.config["method"])

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """What is varied, by key."""
        found: Mapping[str, Mapping[str, Any]] = self.config["parameters"]
        return found

    def overridden(self, overrides: Sequence[str]) -> "Sweep":
        """With overrides that go before what the file says of the same keys.

        Raises:
            ConfigFaults: one is no override, or lists several values.
        """
        keys = {_key(text) for text in overrides}
        kept = [text for text in self.base if _key(text) not in keys]
        parameters = {name: spec for name, spec in self.parameters.items() if name not in keys}
        command = [text for text in self.config["command"] if _key(str(text)) not in keys]
        place = next(i for i, text in enumerate(command) if text in _ARGUMENTS)
        command[place:place] = overrides
        config = {**self.config, "parameters": parameters, "command": command}
        return replace(self, config=config, base=(*kept, *overrides))


def names() -> list[str]:
    """The sweep files that are found by name: ours, and those in the user's ``conf/sweep``."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.yaml")})


def find(said: str) -> Path:
    """The file of a path or of a name.

    Raises:
        ConfigFaults: there is none; the nearest name is said.
    """
    named = (folder / f"{said}.yaml" for folder in _folders())
    found = next((path for path in (Path(said), *named) if path.is_file()), None)
    if found is None:
        raise ConfigFaults(f"{unknown('sweep file', said, names())}, or a path")
    return found


def _folders() -> list[Path]:
    return [folder / FOLDER for folder in (*hydra_api.user_dirs(), hydra_api.conf_dir())]


def read(path: Path) -> Sweep:
    """Read and check a file.

    Raises:
        ConfigFaults: it is no YAML, or no sweep that kasmina can run; a line for each mistake.
    """
    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigFaults(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise ConfigFaults(f"{path}: a sweep file maps {', '.join(_NEEDED)} to values")
    faults = [f"{path}: {fault}" for fault in _faults(config)]
    if faults:
        raise ConfigFaults(*faults)
    return _sweep(config, path)


def _faults(config: Mapping[Any, Any]) -> Iterator[str]:
    yield from (unknown("key", str(key), _KEYS) for key in config if key not in _KEYS)
    yield from (f"{key} is missing" for key in _NEEDED if not config.get(key))
    if config.get("method") and config["method"] not in METHODS:
        yield unknown("method", str(config["method"]), METHODS)
    cap = config.get("run_cap", 1)
    if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
        yield f"run_cap is a whole number from 1 on, not {cap!r}"
    yield from _faults_of_metric(config)
    parameters = config.get("parameters") or {}
    if isinstance(parameters, dict):
        for name, spec in parameters.items():
            yield from (f"parameters.{name}: {fault}" for fault in _faults_of(str(name), spec))
    else:
        yield "parameters maps keys of the config to what they may be"
    command = config.get("command") or ["${args_no_hyphens}"]
    if not isinstance(command, list) or sum(text in _ARGUMENTS for text in command) != 1:
        yield "command is a list with ${args_no_hyphens} in it, once: kasmina reads key=value"


def _faults_of_metric(config: Mapping[Any, Any]) -> Iterator[str]:
    metric = config.get("metric")
    if metric is None:
        if config.get("method") == "bayes":
            yield "metric is missing: bayes needs a name and a goal"
    elif not isinstance(metric, dict) or not metric.get("name"):
        yield "metric has a name and a goal"
    elif (goal := str(metric.get("goal", "minimize"))) not in GOALS:
        yield unknown("goal of the metric", goal, GOALS)


def _faults_of(name: str, spec: Any) -> Iterator[str]:
    if not _PARAMETER.fullmatch(name):
        yield "W&B takes letters, digits, _ . and -, and no / or @"
    if not isinstance(spec, dict):
        yield "is a mapping with value, values, or min and max"
        return
    yield from (unknown("key", str(key), _OF_PARAMETER) for key in spec if key not in _OF_PARAMETER)
    said = [key for key in ("value", "values", "min", "parameters") if key in spec]
    if len(said) > 1 or not (said or "distribution" in spec):
        yield "has one of: value, values, min and max"
    values = spec.get("values", [spec["value"]] if "value" in spec else [0])
    if isinstance(values, list) and values:
        yield from (fault for value in values if (fault := _fault_of_value(name, value)))
    else:
        yield "values is a list with something in it"
    yield from _faults_of_numbers(spec)


def _faults_of_numbers(spec: Mapping[Any, Any]) -> Iterator[str]:
    numbers = {key: spec[key] for key in ("min", "max", "q") if key in spec}
    wrong = {k: v for k, v in numbers.items() if isinstance(v, bool) or not _is_number(v)}
    for key, value in wrong.items():
        hint = "; YAML takes 1.0e-4 for one, and not 1e-4" if isinstance(value, str) else ""
        yield f"{key} is a number, not {value!r}{hint}"
    if wrong:
        return
    if {"min", "max"} <= numbers.keys() and numbers["min"] > numbers["max"]:
        yield f"min {numbers['min']!r} is above max {numbers['max']!r}"
    if numbers.get("q", 1) <= 0:
        yield f"q is above 0, not {numbers['q']!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _fault_of_value(name: str, value: Any) -> str | None:
    """What is wrong with a value once W&B's agent has written it into an override."""
    if _has_none(value):
        return 'null reaches a run as the word None; write "null", in quotes'
    try:
        several = hydra_api.parse(f"{name}={value}").is_sweep_override()
    except hydra_api.COMPOSITION_ERRORS:
        return f"{value!r} reaches a run as {value}, which Hydra cannot read"
    return (
        f"{value!r} is several values to Hydra; write it in two pairs of quotes"
        if several
        else None
    )


def _has_none(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_none, value.values()))
    return value is None or (isinstance(value, list) and any(map(_has_none, value)))


def _sweep(config: Mapping[str, Any], path: Path) -> Sweep:
    program = str(config["program"])
    command = [_filled(str(text)).replace("${program}", program) for text in config["command"]]
    if not any(Path(text).name == "kasmina" for text in command):
        raise ConfigFaults(f"{path}: command does not run kasmina; ${{program}} is {program!r}")
    told = [text for text in command if text not in _STARTERS and text not in _ARGUMENTS]
    base = tuple(text for text in told if Path(text).name != "kasmina")
    wrong = next((text for text in base if "=" not in text and not text.startswith("~")), None)
    if wrong:
        raise ConfigFaults(
            f"{path}: command: {wrong!r} is no override; possible beside key=value: "
            f"{', '.join((*_STARTERS, *_ARGUMENTS))}"
        )
    prefix = next(_ARGUMENTS[text] for text in command if text in _ARGUMENTS)
    return Sweep(config=config, base=base, prefix=prefix)


def _filled(text: str) -> str:
    """W&B's agent leaves the name of a variable that is not set."""
    return _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], found[1]), text)


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")
