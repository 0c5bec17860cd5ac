"""One-line errors that say what came, what is possible, and which name is nearest."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name among ``names`` that ``name`` most likely meant."""
    matches = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown(what: str, came: str, possible: Iterable[str]) -> str:
    """Say that ``came`` is no known ``what``, with the nearest and the possible names."""
    names = sorted(possible)
    near = nearest(came, names)
    hint = f" did you mean {near!r}?" if near else ""
    return f"unknown {what} {came!r};{hint} possible: {', '.join(names) or 'none'}"
