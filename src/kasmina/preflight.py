"""Check a composed config before anything heavy is built, and report every mistake at once.

First the keys: unknown or missing ones, types, choices, targets and their arguments, interpolations
that point at nothing. Where all are right, the combinations that cannot work.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from kasmina.baseline import network
from kasmina.conform import MISSING, faults, join
from kasmina.recipe import TARGET
from kasmina.rules import impossible
from kasmina.schema import Config

_POINTS_AT = "Interpolation key '"


def check(config: DictConfig) -> list[str]:
    """One sentence a mistake; empty where the config can be run."""
    faults_of_keys = check_keys(config)
    if faults_of_keys:
        return faults_of_keys
    try:
        values = plain(network(config))
    except ValueError as error:
        return [f"baseline: {error}"]
    return list(impossible(values))


def check_keys(config: DictConfig) -> list[str]:
    """The mistakes that can be found without building anything."""
    seen = _Resolved()
    values = seen.resolve(config, "")
    sentences = [f"{path}: {_reason(text, config)}" for path, text in seen.broken.items()]
    hidden = (*seen.broken, *seen.empty)
    sentences += [each for each in faults(values, Config, "") if _path(each) not in hidden]
    return _once(sentences, seen.pointers)


def _path(sentence: str) -> str:
    return sentence.partition(": ")[0]


def _once(sentences: list[str], pointers: list[str]) -> list[str]:
    """Leave out what is said again of a key that only points at the one that is wrong."""
    starts = tuple(pointer + end for pointer in pointers for end in (": ", ".", "["))
    told = {_fault(each) for each in sentences if not each.startswith(starts)}
    kept = []
    for each in sentences:
        if not each.startswith(starts):
            kept.append(each)
        elif _fault(each) not in told:
            kept.append(each)
            told.add(_fault(each))
    return kept


def _fault(sentence: str) -> str:
    return sentence.partition(": ")[2]


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as plain values, interpolations resolved."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@dataclass
class _Resolved:
    """Plain values of a config, and what was seen on the way.

    Attributes:
        broken: why a value cannot be resolved, by path; null stands in its place.
        empty: paths that point at a value that is still to be given.
        pointers: paths of interpolations.
    """

    broken: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)

    def resolve(self, node: Any, path: str) -> Any:
        """The plain value of a node."""
        if isinstance(node, DictConfig):
            keys = {str(key): key for key in node.keys()}  # noqa: SIM118  # iteration resolves
            return {k: self._child(node, key, join(path, k)) for k, key in keys.items()}
        if isinstance(node, ListConfig):
            return [self._child(node, i, f"{path}[{i}]") for i in range(len(node))]
        return node

    def _child(self, node: Any, key: Any, path: str) -> Any:
        if OmegaConf.is_interpolation(node, key):
            self.pointers.append(path)
        try:
            if OmegaConf.is_missing(node, key):
                return MISSING
            return self.resolve(node[key], path)
        except InterpolationToMissingValueError:
            self.empty.append(path)
        except OmegaConfBaseException as error:
            self.broken[path] = str(error).splitlines()[0]
        return None


def _reason(text: str, config: DictConfig) -> str:
    if not text.startswith(_POINTS_AT):
        return text
    target = text.removeprefix(_POINTS_AT).partition("'")[0]
    parent = target.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    beside = sorted({*map(str, node)} - {TARGET}) if isinstance(node, DictConfig) else []
    return f"is taken from {target!r}, which is not there; possible: {', '.join(beside) or 'none'}"
