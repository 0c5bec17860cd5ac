"""Put the errors of a composition into words: what came, what is possible, what was meant.

Hydra stops at the first wrong override. Here the rest is tried on top of those that are right, so
that one answer names all of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import MarkedYAMLError

from kasmina import hydra_api
from kasmina.suggest import nearest, unknown

Attempt = Callable[..., DictConfig | Exception]
"""The config of some overrides, or why there is none."""

_MISSING_OPTION = re.compile(r"In '([^']*)': Could not (?:find|load) '([^']*)/([^'/]*)'")


@dataclass
class Diagnosis:
    """What is wrong with a list of overrides.

    Attributes:
        faults: a sentence each.
        good: the overrides that compose; alone they make a config that can be checked further.
        composes: whether there is such a config.
    """

    faults: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)
    composes: bool = True


def diagnose(overrides: list[str], root: str = hydra_api.ROOT) -> Diagnosis:
    """Find every wrong override; if the config itself is broken, say that alone."""
    found = Diagnosis()
    attempt = _attempts(root)
    lost: set[str] = set()  # groups whose option is wrong: their keys cannot be judged
    left = list(overrides)
    with hydra_api.composer():
        while left:
            right = _composable(left, found.good, attempt)
            found.good += left[:right]
            if not found.good and isinstance(broken := attempt(), Exception):
                folders = ", ".join(map(str, hydra_api.user_dirs()))
                where = f" (searched before ours: {folders})" if folders else ""
                return Diagnosis([explain(broken) + where], composes=False)
            for text in left[right : right + 1]:
                fault = _fault(text, found.good, attempt, lost)
                (found.good if fault is None else found.faults).append(fault or text)
            left = [text for text in left[right + 1 :] if not _is_below(text, lost)]
    return found


def _attempts(root: str) -> Attempt:
    """Composes overrides, the same ones only once: it takes a sixth of a second."""

    @cache
    def attempt(*overrides: str) -> DictConfig | Exception:
        try:
            return hydra_api.compose(list(overrides), root)
        except hydra_api.COMPOSITION_ERRORS as error:
            return error

    return attempt


def _composable(overrides: list[str], good: list[str], attempt: Attempt) -> int:
    """How many of them, from the first on, compose on top of ``good``: found by halving."""
    right, wrong = 0, len(overrides) + 1
    tried = len(overrides)
    while wrong - right > 1:
        if isinstance(attempt(*good, *overrides[:tried]), Exception):
            wrong = tried
        else:
            right = tried
        tried = (right + wrong) // 2
    return right


def _is_below(text: str, groups: set[str]) -> bool:
    return any(text.lstrip("+~").startswith(f"{group}.") for group in groups)


def _fault(text: str, good: list[str], attempt: Attempt, lost: set[str]) -> str | None:
    try:
        override = hydra_api.parse(text)
    except hydra_api.COMPOSITION_ERRORS:
        return (
            f"{text!r} is no override; write key=value, and quote a value with special "
            "characters: 'key=\"a, b\"'"
        )
    if override.is_sweep_override():
        return f"{text!r}: several values need -m (--multirun); a list is written [a,b]"
    error, config = attempt(*good, text), attempt(*good)
    if not isinstance(error, Exception):
        return None
    key = override.key_or_group
    if hydra_api.options(key):
        lost.add(key)
        return _option_fault(key, override.value()) or f"{text!r}: {explain(error)}"
    assert isinstance(config, DictConfig)
    return _key_fault(text, key, config, error)


def _option_fault(group: str, value: Any) -> str | None:
    possible = hydra_api.options(group)
    came = [
        "null" if v is None else str(v) for v in (value if isinstance(value, list) else [value])
    ]
    wrong = [each for each in came if each not in possible]
    return "; ".join(f"{group}: {unknown('option', each, possible)}" for each in wrong) or None


def _key_fault(text: str, key: str, config: DictConfig, error: Exception) -> str:
    keys = list(_keys(OmegaConf.to_container(config)))
    if text.startswith("+") and key in keys:
        return f"{key}: is there already; write it without +"
    if key in keys:
        return f"{text!r}: {explain(error)}"
    if key.startswith("hydra") or "@" in key:
        return f"{text!r}: {explain(error)}"
    return f"{key}: unknown key; {_meant(key, keys)}"


def _meant(key: str, keys: list[str]) -> str:
    parent, _, last = key.rpartition(".")
    beside = {each.rpartition(".")[2]: each for each in keys if each.rpartition(".")[0] == parent}
    elsewhere = [each for each in keys if each.rpartition(".")[2] == last]
    near = nearest(last, beside) if beside else nearest(key, keys)
    if near:
        return f"did you mean {beside.get(near, near)!r}?"
    if elsewhere:
        return f"did you mean {min(elsewhere, key=len)!r}?"
    if beside:
        return f"possible: {', '.join(sorted(beside.values()))}"
    return f"there is nothing below {parent!r}"


def _keys(values: Any, path: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{path}{key}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{path}{key}.")


def explain(error: Exception) -> str:
    """One line for an error that no single override accounts for."""
    missing = _MISSING_OPTION.search(str(error))
    if missing:
        file, group, option = missing.groups()
        possible = hydra_api.options(group)
        plugin = "; Hydra's plugins bring more" if group.startswith("hydra/") else ""
        return f"{file}.yaml: {unknown(f'option of {group}', option, possible)}{plugin}"
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}: {error.problem}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__).splitlines()[:1] if error.__cause__ else []
    return "; ".join([*lines[:2], *cause]) or type(error).__name__
