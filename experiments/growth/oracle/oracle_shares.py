"""From runs and picks to shares of the oracle's gain."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from oracle_picks import Pick
from oracle_runs import Ended, State
from scipy import stats

from kasmina.bench.sheet import Row
from kasmina.control.entry import Candidate
from kasmina.report.stats import interval

NOTHING = "nothing"
"""Stands in the column ``blueprint`` of the run without growth."""
ORACLE, ELSEWHERE = "oracle", "oracle of other seeds"

Cells = dict[str, str]


def run_row(state: State, site: str, blueprint: str, ended: Ended) -> Row:
    """Losses in nats, accuracies as shares."""
    return {
        **{"host": state.host, "seed": state.seed, "site": site, "blueprint": blueprint},
        **{"parameters": ended.parameters, "val loss": ended.loss, "val accuracy": ended.accuracy},
        **{"loss before": ended.at_decision, "FLOPs before": ended.before},
        **{"FLOPs": ended.flops, "steps": ended.steps},
    }


def read(path: Path) -> list[Cells]:
    """The rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Table:
    """The runs from one state: what each candidate has gained over growing nothing."""

    def __init__(self, rows: Sequence[Cells], host: str, seed: int) -> None:
        own = [row for row in rows if (row["host"], row["seed"]) == (host, str(seed))]
        (control,) = [row for row in own if row["blueprint"] == NOTHING]
        self.about = {"host": host, "seed": seed}
        grown = [row for row in own if row is not control]
        self.loss = {_key(row): _gain(control, row, "val loss") for row in grown}
        self.accuracy = {_key(row): -_gain(control, row, "val accuracy") for row in grown}
        self.parameters = {_key(row): int(row["parameters"]) for row in grown}
        self.brute_force = sum(_gain(row, row, "FLOPs", "FLOPs before") for row in grown)
        """FLOPs of all candidates from the decision on."""

    def picked(self, pick: Pick) -> Row:
        """What a pick is worth. A lot is worth the mean of what it is drawn from."""
        keys = [(each.site, each.blueprint) for each in pick.candidates]
        loss, accuracy = (_mean(gains, keys) for gains in (self.loss, self.accuracy))
        words = " or ".join(f"{blueprint} at {site}" for site, blueprint in keys) or NOTHING
        return {
            **self.about,
            "way": pick.way,
            "pick": words if len(keys) < len(self.loss) else f"all {len(keys)}",
            "parameters": _mean(self.parameters, keys),
            "loss gain": loss,
            "share of loss": _share(loss, max(self.loss.values())),
            "best loss gain": max(self.loss.values()),
            "accuracy gain": accuracy,
            "best accuracy gain": max(self.accuracy.values()),
            "share of accuracy": _share(accuracy, max(self.accuracy.values())),
            "FLOPs": pick.flops,
            "cost": pick.flops / self.brute_force,
        }

    def best(self, others: Sequence["Table"]) -> Pick:
        """Of all candidates by the mean gain in loss there."""
        means = {key: fmean(other.loss[key] for other in others) for key in self.loss}
        cost = sum(other.brute_force for other in others)
        return Pick(ORACLE, (Candidate(*max(means, key=lambda key: means[key])),), cost)


def judged(rows: Sequence[Cells], picks: Mapping[tuple[str, int], Sequence[Pick]]) -> list[Row]:
    """What every pick is worth, after the oracle, and the oracle of the host's other seeds.

    The oracle has chosen by the very numbers that say what it has gained, luck included; what other
    seeds choose has no such luck.

    Args:
        rows: a run each.
        picks: by host and seed.
    """
    tables = {key: Table(rows, *key) for key in picks}
    found = []
    for key, table in tables.items():
        others = [it for (host, seed), it in tables.items() if host == key[0] and seed != key[1]]
        best = [table.best([table])]
        best += [replace(table.best(others), way=ELSEWHERE)] if others else []
        found += [table.picked(pick) for pick in [*best, *picks[key]]]
    return found


def summary(picks: Sequence[Cells]) -> list[Row]:
    """A row a way, with 95 % bootstrap intervals over states.

    ``share``: the sum of all gains over the sum of the oracle's, which is a mean of shares in which
    each state counts by what there is to gain. ``mean share`` leaves out a state in which no
    candidate has gained anything.
    """
    table = []
    oracle = [row for row in picks if row["way"] == ORACLE]
    for way in dict.fromkeys(row["way"] for row in picks):
        own = [row for row in picks if row["way"] == way]
        states = {(row["host"], row["seed"]) for row in own}
        most = [row for row in oracle if (row["host"], row["seed"]) in states]
        row: dict[str, object] = {"way": way, "states": len(own)}
        for name in ("loss", "accuracy"):
            ends = _ratio(_column(own, f"{name} gain"), _column(most, f"best {name} gain"))
            row |= {f"share of {name}": ends[0], f"{name} low": ends[1], f"{name} high": ends[2]}
        shares = _finite(_column(own, "share of loss"))
        ends = interval(shares)
        row |= {"mean share": fmean(shares) if shares else math.nan}
        row |= {"mean low": ends.low, "mean high": ends.high}
        row |= {
            name: fmean(_column(own, name))
            for name in ("loss gain", "accuracy gain", "parameters", "cost")
        }
        table.append(row)
    return table


def _ratio(gains: Sequence[float], most: Sequence[float]) -> tuple[float, float, float]:
    """The sum over the sum, and its percentile interval over pairs."""
    if sum(most) <= 0:
        return math.nan, math.nan, math.nan
    share = sum(gains) / sum(most)
    if len(gains) < 2:
        return share, math.nan, math.nan
    found = stats.bootstrap(
        (gains, most),
        lambda gain, best, axis: gain.sum(axis=axis) / best.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return share, float(found.low), float(found.high)


def _column(rows: Sequence[Cells], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _key(row: Cells) -> tuple[str, str]:
    return row["site"], row["blueprint"]


def _gain(before: Cells, after: Cells, name: str, other: str = "") -> float:
    return float(before[name]) - float(after[other or name])


def _mean(values: dict[tuple[str, str], float], keys: Sequence[tuple[str, str]]) -> float:
    return fmean(values[key] for key in keys) if keys else 0.0


def _share(gain: float, most: float) -> float:
    return gain / most if most > 0 else math.nan
