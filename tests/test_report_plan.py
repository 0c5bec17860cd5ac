"""The plan of an ablation: read back, with the levels of every arm."""

import json

import pytest

from kasmina.ablation import PLAN, Ablation
from kasmina.report.parse import RunError
from kasmina.report.plan import read_plan

AXES = {"mode": ["isolated", "isolated, twice"], "ramp": [5, 10]}


def plan(folder, arms, axes=AXES):
    whole = {"name": "n", "question": "Why?", "axes": axes, "baseline": arms[0]["label"]}
    (folder / PLAN).write_text(json.dumps({**whole, "arms": arms}))
    return read_plan(folder)


def arm(label, number=0, seed=1):
    return {"label": label, "overrides": [], "seed": seed, "number": number}


@pytest.mark.parametrize(
    ("label", "levels"),
    [
        ("isolated, 5", {"mode": "isolated", "ramp": "5"}),
        ("isolated, twice, 10", {"mode": "isolated, twice", "ramp": "10"}),
        ("static large", {}),
        ("isolated, 7", {}),
    ],
)
def test_a_label_is_taken_apart_into_the_levels_of_the_axes(tmp_path, label, levels):
    assert plan(tmp_path, [arm(label)]).arms[0].levels == levels


def test_a_plan_reads_back_as_it_was_written(tmp_path):
    found = plan(tmp_path, [arm("isolated, 5"), arm("isolated, 5", 1, seed=2)])
    assert (found.name, found.question, found.baseline) == ("n", "Why?", "isolated, 5")
    assert found.axes == {"mode": ("isolated", "isolated, twice"), "ramp": ("5", "10")}
    assert [(it.number, it.seed) for it in found.arms.values()] == [(0, 1), (1, 2)]
    assert found.measure == "score"


def test_a_plan_without_axes_has_arms_without_levels(tmp_path):
    assert plan(tmp_path, [arm("a")], axes={}).arms[0].levels == {}


def test_a_damaged_plan_is_named(tmp_path):
    (tmp_path / PLAN).write_text('{"name": "n"}')
    with pytest.raises(RunError, match=rf"{PLAN} has no 'axes'"):
        read_plan(tmp_path)


def test_what_an_ablation_records_is_what_is_read(tmp_path):
    asked = Ablation.of(
        axes={"x": [1, 2], "mode": {"fast": "a=1", "slow, safe": ["a=2"]}},
        seeds=[3, 4],
        question="Why?",
        baseline="x=1, slow, safe",
        measure="seconds_per_step",
    )
    (tmp_path / PLAN).write_text(json.dumps(asked.record("n")))
    found = read_plan(tmp_path)
    assert found.measure == "seconds_per_step"
    assert len(found.arms) == 8
    assert {arm.levels["mode"] for arm in found.arms.values()} == {"fast", "slow, safe"}
    assert found.baseline in {arm.label for arm in found.arms.values()}
