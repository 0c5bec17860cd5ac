"""A comparison works out what page, sheets and pictures show."""

import pytest
from _compared import compared, runs

from kasmina.report.compared import MOST_DRAWN, compare
from kasmina.report.groups import group


def labels(found, on):
    return [it.label for it, kept in zip(found.groups, on, strict=True) if kept]


def test_a_configuration_is_on_a_front_for_each_cost(tmp_path):
    small = runs(tmp_path / "small", {"x=1": [0.5], "x=2": [0.6]}, host=500)
    large = runs(tmp_path / "large", {"x=3": [0.55], "x=4": [0.7]}, host=900)
    found = compare(group([*small, *large]))
    assert labels(found, found.front_of_parameters) == ["x=2", "x=4"]
    assert labels(found, found.front_of_flops) == ["x=2", "x=4"]


@pytest.mark.parametrize("number", [3, MOST_DRAWN, MOST_DRAWN + 4])
def test_the_best_and_the_baseline_are_drawn(tmp_path, number):
    found = compared(tmp_path, {f"x={at}": [0.1 + at / 100] for at in range(number)})
    drawn = [it.label for it in found.drawn]
    assert len(drawn) == min(number, MOST_DRAWN)
    assert "x=0" in drawn
    assert set(drawn) >= {f"x={at}" for at in range(number)[1 - MOST_DRAWN :]}


def test_with_nothing_finished_there_is_no_comparison(tmp_path):
    assert compare(group(runs(tmp_path, {"a": [0.5]}, status="failed"))) is None
    assert compare([]) is None


def test_an_ablation_of_speed_is_judged_by_seconds_a_step(tmp_path):
    """Every run of these takes 0.9 s for 20 steps, whatever it scores."""
    made = runs(tmp_path, {"a": [0.5], "b": [0.6]})
    found = compare(group(made), measure="seconds_per_step")
    assert found.goal.mode == "min"
    assert [spread.mean for _, spread in found.ranked] == [0.045, 0.045]
    (difference,) = found.differences
    assert (difference.pairs, difference.mean) == (1, 0.0)
