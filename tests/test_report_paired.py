"""Differences against a baseline are taken seed by seed."""

import math

import pytest
from _compared import compared, runs

from kasmina.report import scores
from kasmina.report.groups import Configuration, group
from kasmina.report.paired import by_seed, choose_baseline
from kasmina.report.parse import RunError

FOUR = {"a": [0.5, 0.6, 0.7, 0.55], "b": [0.6, 0.72, 0.8, 0.66]}


def test_the_spread_that_all_share_falls_out(tmp_path):
    (found,) = compared(tmp_path, FOUR).differences
    assert found.label == "controller=b"
    assert found.pairs == 4
    assert found.mean == pytest.approx(0.1075)
    assert 0.1 <= found.interval.low < found.mean < found.interval.high <= 0.12
    assert found.shown


def test_only_seeds_that_both_have_make_a_pair(tmp_path):
    values = {"a": {0: 0.5, 1: 0.6, 7: 0.1}, "b": {1: 0.7, 0: 0.5, 9: 0.9}}
    (found,) = compared(tmp_path, values).differences
    assert found.pairs == 2
    assert found.mean == pytest.approx(0.05)
    assert not found.tested


def test_without_a_shared_seed_nothing_is_said(tmp_path):
    (found,) = compared(tmp_path, {"a": {0: 0.5}, "b": {1: 0.7}}).differences
    assert found.pairs == 0
    assert math.isnan(found.mean)


def test_a_seed_that_was_run_twice_counts_once(tmp_path):
    both = [*runs(tmp_path / "x", {"a": [0.5]}), *runs(tmp_path / "y", {"a": [0.7]})]
    assert by_seed(Configuration("a", tuple(both), ()), scores.best) == {0: pytest.approx(0.6)}


def test_every_further_comparison_makes_each_harder_to_show(tmp_path):
    one = compared(tmp_path / "one", FOUR).differences
    two = compared(tmp_path / "two", {**FOUR, "c": [0.5, 0.61, 0.69, 0.56]}).differences
    assert one[0].corrected == one[0].p
    assert two[0].corrected == pytest.approx(2 * two[0].p)
    assert not two[1].shown


AXES = {f"x={x},y={y}": [0.5] for x in (1, 10) for y in (1, 2)}


@pytest.mark.parametrize(
    ("asked", "label"),
    [("x=1, y=2", "x=1, y=2"), ("0, y=1", "x=10, y=1"), (None, "x=1, y=1")],
)
def test_a_baseline_is_a_label_or_a_part_that_one_label_has(tmp_path, asked, label):
    groups = group(runs(tmp_path, AXES))
    assert choose_baseline(groups, asked, None).label == label
    assert choose_baseline(groups, None, label).label == label


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("x=1", "baseline 'x=1' fits 2 configurations: x=1, y=1; x=1, y=2"),
        (
            "x=1, y=3",
            "unknown baseline 'x=1, y=3'; did you mean 'x=1, y=[12]'.* possible: x=1, y=1;",
        ),
    ],
)
def test_a_baseline_that_is_none_or_several_is_refused_in_one_line(tmp_path, asked, words):
    with pytest.raises(RunError, match=words):
        choose_baseline(group(runs(tmp_path, AXES)), asked, None)


def test_the_base_configuration_is_the_baseline_where_there_is_one(tmp_path):
    made = runs(tmp_path, {"x=1": [0.5], "x=1,y=2": [0.6]})
    assert choose_baseline(group(made[::-1]), None, "gone").label == "base configuration"
