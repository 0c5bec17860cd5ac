"""Effects of axes: marginal means over the same cells and the same seeds."""

import pytest
from _compared import compared

from kasmina.report.effects import effects


def levels(found, axis):
    (effect,) = [it for it in found if it.axis == axis]
    return {it.name: round(it.mean, 6) for it in effect.levels}


def told(tmp_path, values):
    it = compared(tmp_path, values, test=False)
    return effects(it.groups, it.score.of)


def test_the_other_axis_is_averaged_out(tmp_path):
    values = {
        f"mode={mode},ticks={ticks}": [top + ticks / 100, top + ticks / 100 + 0.02]
        for mode, top in (("a", 0.3), ("b", 0.5))
        for ticks in (10, 5)
    }
    found = told(tmp_path, values)
    assert levels(found, "mode") == {"a": 0.385, "b": 0.585}
    assert levels(found, "ticks") == {"5": 0.46, "10": 0.51}
    assert all((it.cells, it.seeds) == (2, 2) for effect in found for it in effect.levels)


def test_numbers_stand_in_their_order_and_names_as_they_come(tmp_path):
    found = told(tmp_path, {f"x={x},y={y}": [0.5] for x in (10, 9, 0.5) for y in "ba"})
    assert [list(levels(found, axis)) for axis in "xy"] == [["0.5", "9", "10"], ["b", "a"]]


def test_a_cell_that_was_not_run_takes_its_partners_out(tmp_path):
    values = {"x=1,y=1": [0.1], "x=1,y=2": [0.9], "x=2,y=1": [0.2]}
    found = told(tmp_path, values)
    assert levels(found, "x") == {"1": 0.1, "2": 0.2}
    assert levels(found, "y") == {"1": 0.1, "2": 0.9}


def test_a_seed_that_one_cell_lacks_does_not_shift_the_mean(tmp_path):
    values = {f"x={x},y={y}": [0.2, 0.8] for x in (1, 2) for y in (1, 2)}
    values["x=2,y=2"] = {0: 0.2}
    found = told(tmp_path, values)
    assert levels(found, "x") == {"1": 0.5, "2": 0.2}


def test_axes_that_change_together_are_one(tmp_path):
    values = {f"x={x},twin={x}": [0.5] for x in (1, 2, 3)}
    assert [it.axis for it in told(tmp_path, values)] == ["x"]


@pytest.mark.parametrize("values", [{"x=1": [0.5]}, {"x=1": [0.5], "x=2": [0.6]}])
def test_one_axis_of_two_levels_would_repeat_the_table(tmp_path, values):
    assert told(tmp_path, values) == []


def test_axes_that_were_not_crossed_have_no_effect(tmp_path):
    values = {"x=1,y=1": [0.5], "x=2,y=2": [0.6], "x=1,y=3": [0.5], "x=2,y=4": [0.5]}
    assert [it.axis for it in told(tmp_path, values)] == []
