"""What a search may vary, read from Hydra's sweep grammar, and draws from it.

A value is what a study keeps of a parameter; its text is what stands in the override.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from kasmina.faults import ConfigFaults
from kasmina.suggest import unknown

LOG = "log"
_DIGITS = 6  # of a number that was drawn: enough to search, few enough to read


@dataclass(frozen=True)
class Choices:
    """One of several texts.

    Attributes:
        texts: each once.
    """

    texts: tuple[str, ...]

    def draw(self, random: Random) -> str:
        """Each is as likely."""
        return random.choice(self.texts)

    def text(self, value: str) -> str:
        """As it was typed."""
        return value


@dataclass(frozen=True)
class Whole:
    """``low``, ``low + step`` ... ``high``.

    Attributes:
        log: small numbers are as likely as large ones in their logarithm; the step is 1.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def draw(self, random: Random) -> int:
        """Both ends belong to it."""
        if self.log:
            drawn = round(_log_uniform(random, self.low - 0.5, self.high + 0.5))
            return min(max(drawn, self.low), self.high)
        return random.randrange(self.low, self.high + 1, self.step)

    def text(self, value: int) -> str:
        """In digits."""
        return str(value)


@dataclass(frozen=True)
class Real:
    """A number from ``low`` to ``high``, of six significant digits, or on a grid of ``step``."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def draw(self, random: Random) -> float:
        """Uniform in the number, or in its logarithm."""
        if self.step is not None:
            return self._at(random.randrange(self._index(self.high) + 1))
        drawn = (_log_uniform if self.log else Random.uniform)(random, self.low, self.high)
        return float(self.text(drawn))

    def text(self, value: float) -> str:
        """Rounded, where that stays inside."""
        if self.step is not None:
            return repr(self._at(self._index(value)))
        rounded = float(f"{value:.{_DIGITS}g}")
        return repr(rounded if self.low <= rounded <= self.high else float(value))

    def _index(self, value: float) -> int:
        assert self.step is not None
        return round((value - self.low) / self.step)

    def _at(self, index: int) -> float:
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))


Parameter = Choices | Whole | Real
Values = Mapping[str, Any]


def _log_uniform(random: Random, low: float, high: float) -> float:
    return math.exp(random.uniform(math.log(low), math.log(high)))


@dataclass(frozen=True)
class Space:
    """All that a search varies, and what it leaves alone.

    Attributes:
        fixed: overrides that every trial has.
        parameters: by the key of their override.
    """

    fixed: tuple[str, ...]
    parameters: Mapping[str, Parameter]

    @classmethod
    def of(cls, overrides: Iterable[Any]) -> "Space":
        """From overrides that Hydra has parsed; the last of a key counts.

        Raises:
            ConfigFaults: nothing is searched, or one of them cannot be; a line each.
        """
        last = {each.get_key_element().lstrip("+"): each for each in overrides}
        swept = [each for each in last.values() if each.is_sweep_override()]
        fixed = tuple(e.input_line for e in last.values() if not e.is_sweep_override())
        faults, parameters = [], {}
        for each in swept:
            try:
                parameters[each.get_key_element()] = parameter(each)
            except ValueError as error:
                faults.append(f"{each.input_line!r}: {error}")
        if not swept:
            faults.append(
                "hydra/sweeper=search: nothing to search; give a key several values, such as "
                "optimizer.lr='tag(log,interval(1e-4,1e-1))'"
            )
        if faults:
            raise ConfigFaults(*faults)
        return cls(fixed, parameters)

    def draw(self, seed: int, number: int) -> dict[str, Any]:
        """The values of a trial, made of a seed and its number alone."""
        random = Random(f"{seed}/{number}")  # by its characters: the same in every process
        return {name: each.draw(random) for name, each in self.parameters.items()}

    def chosen(self, values: Values) -> list[str]:
        """The overrides that are a trial's own."""
        return [f"{name}={each.text(values[name])}" for name, each in self.parameters.items()]

    def plain(self, values: Values) -> dict[str, Any]:
        """Numbers as they were run, and texts."""
        texts = {name: each.text(values[name]) for name, each in self.parameters.items()}
        kinds = {Whole: int, Real: float, Choices: str}
        return {name: kinds[type(self.parameters[name])](text) for name, text in texts.items()}

    def overrides(self, values: Values) -> list[str]:
        """All overrides of a trial."""
        return [*self.fixed, *self.chosen(values)]


def parameter(override: Any) -> Parameter:
    """What one sweep override of Hydra's may become.

    Raises:
        ValueError: it has no value, or no logarithm.
    """
    sweep = override.value()
    tags: set[str] = getattr(sweep, "tags", None) or set()
    for tag in sorted(tags - {LOG}):
        raise ValueError(unknown("tag", tag, [LOG]))
    if override.is_interval_sweep():
        return _interval(sweep.start, sweep.end, log=LOG in tags)
    if override.is_range_sweep():
        return _range(list(override.sweep_iterator()), sweep.step, log=LOG in tags)
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not texts:
        raise ValueError("has no value")
    if tags:
        raise ValueError("log is for an interval, or for a range of whole numbers with step 1")
    return Choices(texts)


def _interval(low: float, high: float, *, log: bool) -> Parameter:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError("an interval goes from a number up to another one")
    if log and low <= 0:
        raise ValueError(f"log needs an interval above 0, not from {low}")
    kind = Whole if isinstance(low, int) and isinstance(high, int) else Real
    return kind(low, high, log=log)  # type: ignore[arg-type]


def _range(values: Sequence[float], step: float, *, log: bool) -> Parameter:
    if not values:
        raise ValueError("has no value")
    low, high = min(values), max(values)
    if log and (isinstance(low, float) or abs(step) != 1 or low <= 0):
        raise ValueError("log is for an interval, or a range of step 1 in whole numbers above 0")
    if isinstance(low, int) and isinstance(high, int):
        return Whole(low, high, int(abs(step)), log)
    return Real(low, high, abs(float(step)))
