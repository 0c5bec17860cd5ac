"""The oracle study runs from its command, here with sizes that prove nothing."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[1] / "experiments" / "growth" / "oracle"
TABLES = ("results.csv", "picks.csv", "shares.csv")
Rows = list[dict[str, str]]


def rows(path: Path) -> Rows:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def study(out: Path) -> dict[str, Rows]:
    """All tables of a quick run."""
    flags = ["--quick", "--seeds", "1", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, STUDY / "oracle.py", *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (out / "oracle.png").is_file()
    return {name: rows(out / name) for name in TABLES}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Rows]:
    return study(tmp_path_factory.mktemp("oracle"))


pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_every_candidate_and_none_cost_the_same_from_the_same_state(
    tables: Mapping[str, Rows],
) -> None:
    found = tables["results.csv"]
    assert len({(row["site"], row["blueprint"]) for row in found}) == len(found) == 3 * 5 + 1
    assert len({row["FLOPs before"] for row in found}) == 1
    spent = [float(row["FLOPs"]) for row in found]
    assert max(spent) - min(spent) < 0.02 * min(spent)  # one step of the dearest, and one look


def test_the_oracle_is_the_candidate_with_the_least_loss_and_random_the_mean(
    tables: Mapping[str, Rows],
) -> None:
    (nothing,) = [row for row in tables["results.csv"] if row["blueprint"] == "nothing"]
    grown = [row for row in tables["results.csv"] if row is not nothing]
    losses = [float(row["val loss"]) for row in grown]
    gains = {row["way"]: float(row["loss gain"]) for row in tables["picks.csv"]}
    assert gains["oracle"] == pytest.approx(float(nothing["val loss"]) - min(losses), abs=1e-3)
    mean = float(nothing["val loss"]) - sum(losses) / len(losses)
    assert gains["random"] == pytest.approx(mean, abs=1e-3)
    assert max(gains.values()) == gains["oracle"]


def test_only_what_measures_costs_anything(tables: Mapping[str, Rows]) -> None:
    costs = {row["way"]: float(row["cost"]) for row in tables["picks.csv"]}
    free = {"random", "biggest", "random slot, biggest"}
    assert {way for way, cost in costs.items() if cost == 0} == free
    assert costs["oracle"] == 1
    assert costs["race"] < costs["race, all slots"]


@pytest.mark.parametrize("name", TABLES)
def test_the_published_tables_have_these_columns(name: str, tables: Mapping[str, Rows]) -> None:
    assert list(tables[name][0]) == list(rows(STUDY / name)[0])
