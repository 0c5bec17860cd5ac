"""Timings that compare: every case runs once a round, in an order that turns, so that what slows
the machine down slows all cases alike. Compare cases by the ratios within rounds."""

import gc
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import torch

Case = Callable[[], object]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a sample."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def interleave(
    cases: Mapping[str, Case],
    *,
    rounds: int = 15,
    number: int = 1,
    warmup: int = 2,
    progress: Progress | None = None,
) -> dict[str, list[float]]:
    """Seconds that one call of each case takes, a value a round.

    The order of the cases turns by one from round to round. An accelerator is waited for, and
    garbage is collected between rounds only.

    Args:
        cases: what to time, by name.
        rounds: measurements of each case.
        number: calls in one measurement.
        warmup: calls of each case before the first measurement; compilers compile there.
        progress: told the rounds done and the rounds in all.
    """
    for case in cases.values():
        for _ in range(warmup):
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for done in range(rounds):
        gc.collect()
        turn = done % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(_time(cases[name], number))
        if progress is not None:
            progress(done + 1, rounds)
    return seconds


def _time(case: Case, number: int) -> float:
    """Seconds a call. ``torch.utils.benchmark.Timer`` would call twice more to warm up, and set
    one thread, for which a compiled case is compiled anew."""
    gc.disable()
    try:
        _wait()
        started = perf_counter()
        for _ in range(number):
            case()
        _wait()
        return (perf_counter() - started) / number
    finally:
        gc.enable()


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def ratio(case: list[float], base: list[float]) -> Spread:
    """Of ``case`` to ``base``, round by round."""
    return spread([a / b for a, b in zip(case, base, strict=True)])


def spread(values: list[float]) -> Spread:
    """Median and quartiles; a single value is all three."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)
