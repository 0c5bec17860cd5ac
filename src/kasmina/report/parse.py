"""Read the files of a run folder: csv, JSON, JSON lines, yaml; each fault is one line."""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml


class RunError(ValueError):
    """A folder that is no run folder, or one with a missing or damaged file."""


class Fields:
    """One row or object of a file; what is missing or no number is named with its place."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self.values = values
        self.place = place

    def get(self, key: str) -> Any:
        """The raw value.

        Raises:
            RunError: the key is not there.
        """
        if key not in self.values:
            raise RunError(f"{self.place} has no {key!r}")
        return self.values[key]

    def text(self, key: str) -> str:
        """A string; null reads as the empty one."""
        value = self.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> float:
        """A float; an empty cell or null reads as nan."""
        return self.to_number(key, self.get(key))

    def integer(self, key: str) -> int:
        """A whole number; an empty cell or null is a fault."""
        value = self.number(key)
        if not math.isfinite(value):
            raise RunError(f"{self.place}: {key!r} is empty or not finite")
        return int(value)

    def part(self, key: str) -> "Fields":
        """A nested object; null reads as an empty one."""
        value = self.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise RunError(f"{self.place}: {key!r} is {value!r}, not an object")
        return Fields(value or {}, f"{self.place}: {key}")

    def numbers(self, skip: Iterable[str] = ()) -> dict[str, float]:
        """Every value as a float, except those of the keys in ``skip``."""
        left = (key for key in self.values if key not in skip)
        return {key: self.number(key) for key in left}

    def to_number(self, key: str, value: Any) -> float:
        """``value`` as a float, or a fault that names the key."""
        try:
            return math.nan if value is None or value == "" else float(value)
        except (TypeError, ValueError):
            raise RunError(f"{self.place}: {key!r} is {value!r}, not a number") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def _lines(path: Path, growing: bool) -> list[str]:
    """The lines; the last of a file that is still being written counts when it is complete."""
    text = _text(path)
    lines = text.splitlines()
    return lines[:-1] if growing and lines and not text.endswith("\n") else lines


def _object(text: str, place: str) -> Fields:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RunError(f"{place} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{place} holds a {type(value).__name__}, not an object")
    return Fields(value, place)


def read_json(path: Path) -> Fields:
    """The object in a JSON file."""
    return _object(_text(path), str(path))


def read_jsonl(path: Path, *, growing: bool) -> list[Fields]:
    """One object a line; ``growing`` forgives a half-written last line."""
    rows = enumerate(_lines(path, growing), start=1)
    return [_object(line, f"{path} line {at}") for at, line in rows if line.strip()]


def read_csv(path: Path, *, growing: bool) -> list[Fields]:
    """One mapping of column to cell a row, none of an empty file; ``growing`` forgives a
    half-written last row."""
    reader = csv.reader(_lines(path, growing))
    head = next(reader, None)
    if head is None:
        return []
    rows = []
    for cells in reader:
        place = f"{path} line {reader.line_num}"
        if len(cells) != len(head):
            raise RunError(f"{place} has {len(cells)} cells, its header has {len(head)}")
        rows.append(Fields(dict(zip(head, cells, strict=True)), place))
    return rows


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a yaml file; floats like ``1e-3``, which YAML 1.1 calls text, included."""
    try:
        value = yaml.load(_text(path), _Loader)
    except yaml.YAMLError as error:
        raise RunError(f"{path} is no yaml: {str(error).splitlines()[0]}") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no mapping")
    return {str(key): item for key, item in value.items()}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The one of C is 16 times as fast; a comparison reads thousands of configs."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)
