"""Runs that differ only in their seed are one configuration."""

import math

import pytest
from _runs import RunFolder

from kasmina.report import scores
from kasmina.report.groups import BASE, Spread, group
from kasmina.report.runs import read_run


def run(folder, overrides, seed=0, **options):
    given = (*overrides, f"seed={seed}")
    return read_run(RunFolder(folder, ticks=1, seed=seed, overrides=given, **options).write())


def labels(runs):
    return {it.label: len(it.runs) for it in group(runs)}


def test_the_seed_and_what_all_chose_do_not_tell_runs_apart(tmp_path):
    runs = [
        run(tmp_path / f"{name}{seed}", ("experiment=digits", f"controller={name}"), seed)
        for name in ("none", "biggest")
        for seed in (0, 1)
    ]
    assert labels(runs) == {"controller=none": 2, "controller=biggest": 2}


def test_a_run_that_chose_nothing_more_is_the_base(tmp_path):
    runs = [run(tmp_path / "a", ()), run(tmp_path / "b", ("host.width=8",))]
    assert labels(runs) == {BASE: 1, "host.width=8": 1}


def test_one_configuration_is_called_by_what_it_chose(tmp_path):
    runs = [run(tmp_path / str(seed), ("experiment=digits",), seed) for seed in (0, 1)]
    assert labels(runs) == {"experiment=digits": 2}


@pytest.mark.parametrize(
    "override", ["name=x", "paths.run_dir=x", "data.split_seed=3", "+logger=w"]
)
def test_names_and_places_are_no_choice(tmp_path, override):
    runs = [run(tmp_path / "a", ("host=gpt",)), run(tmp_path / "b", ("host=gpt", override), 1)]
    assert len(group(runs)) == 1


@pytest.mark.parametrize("overrides", [(), ("experiment=digits",)])
def test_where_overrides_do_not_tell_the_configs_do(tmp_path, overrides):
    """Runs without overrides, or with the same ones and the same seed."""
    runs = []
    for width in (8, 16):
        config = {"host": {"width": width, "depth": 2}, "data": {"seed": width}}
        folder = RunFolder(tmp_path / str(width), ticks=1, overrides=overrides, config=config)
        runs.append(read_run(folder.write()))
    assert labels(runs) == {"host.width=8": 1, "host.width=16": 1}


def test_only_finished_runs_count(tmp_path):
    runs = [
        run(tmp_path / status, ("host=gpt",), seed, status=status)
        for seed, status in enumerate(("finished", "diverged", "failed", "interrupted"))
    ]
    (only,) = group(runs)
    assert [it.status for it in only.runs] == ["finished"]
    assert len(only.others) == 3


def test_a_spread_is_the_sample_standard_deviation_of_what_is_finite():
    assert Spread.of([1.0, 3.0, math.nan]) == Spread(2.0, math.sqrt(2.0), 2)
    one, none = Spread.of([4.0]), Spread.of([])
    assert (one.mean, one.n) == (4.0, 1)
    assert math.isnan(one.deviation)
    assert math.isnan(none.mean)


def test_the_test_split_judges_only_where_every_run_was_tested(tmp_path):
    runs = [run(tmp_path / "a", ()), run(tmp_path / "b", (), 1)]
    assert scores.score_for(runs).label == "test accuracy"
    runs.append(run(tmp_path / "c", (), 2, test=False))
    assert scores.score_for(runs).label == "best validation accuracy"


def test_parameters_are_those_of_the_best_validation(tmp_path):
    folder = RunFolder(tmp_path, ticks=3, values={"val/accuracy": [0.1, 0.9, 0.2]}).write()
    path = folder / "metrics.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(",774,", ",999,")
    path.write_text("\n".join(lines) + "\n")
    found = read_run(folder)
    assert scores.best_row(found) == 1
    assert scores.parameters(found) == 999
