"""Axes, seeds, and the jobs that they make."""

import json
from itertools import groupby, pairwise

import pytest

from kasmina.ablation import Ablation

GROWTH = {
    "growth": {
        "large": ["baseline=static_large", "baseline.run={grown}"],
        "twice": ["timing=replay", "timing.run={large}"],
        "grown": "controller=heuristic",
        "none": [],
    }
}


def test_arms_are_every_combination_of_levels():
    ablation = Ablation.of(axes={"ramp": ["linear", "cosine"], "ramp.ticks": [1, 4]}, seeds=[3])
    assert [job.label for job in ablation.jobs()] == [
        "ramp=linear, ramp.ticks=1",
        "ramp=linear, ramp.ticks=4",
        "ramp=cosine, ramp.ticks=1",
        "ramp=cosine, ramp.ticks=4",
    ]
    assert ablation.jobs()[1].overrides == ("ramp=linear", "ramp.ticks=4", "seed=3")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "key=null"),
        (True, "key=true"),
        (False, "key=false"),
        (0.5, "key=0.5"),
        ("off", "key=off"),
        (["se", "norm"], "key=[se,norm]"),
        ([1, [None, True]], "key=[1,[null,true]]"),
    ],
)
def test_values_of_an_axis_are_written_as_overrides(value, written):
    (job,) = Ablation.of(axes={"key": [value]}, seeds=[1]).jobs()
    assert job.overrides == (written, "seed=1")


def test_without_axes_there_is_one_arm():
    (job,) = Ablation.of(axes={}, seeds=[1]).jobs()
    assert job.overrides == ("seed=1",)


def test_jobs_come_in_waves_and_seeds_stay_together():
    jobs = Ablation.of(axes=GROWTH, seeds=[1, 2]).jobs()
    assert [job.number for job in jobs] == list(range(8))
    waves = {wave: [job.label for job in each] for wave, each in groupby(jobs, lambda j: j.wave)}
    assert waves == {0: ["grown", "none"] * 2, 1: ["large"] * 2, 2: ["twice"] * 2}
    for _, wave in groupby(jobs, lambda job: job.wave):
        assert all(a.seed <= b.seed for a, b in pairwise(wave))


def test_what_a_job_needs_has_the_same_seed_and_the_same_levels_elsewhere():
    axes = {**GROWTH, "blend": ["add", "gate"]}
    ablation = Ablation.of(axes=axes, seeds=[1, 2])
    jobs = {job.number: job for job in ablation.jobs()}
    assert any(job.needs for job in jobs.values())
    for job in jobs.values():
        for name, number in job.needs.items():
            other = jobs[number]
            growth, blend = job.label.split(", ")
            assert other.seed == job.seed
            assert other.label == f"{name}, {blend}"
            assert other.wave < job.wave
            assert growth in {"large", "twice"}


def test_the_folder_of_the_run_that_is_needed_stands_in_the_override():
    jobs = Ablation.of(axes=GROWTH, seeds=[1]).jobs()
    large = next(job for job in jobs if job.label == "large")
    folders = {large.needs["grown"]: "'/here/0_x=1'"}
    assert large.told(folders) == [
        "baseline=static_large",
        "baseline.run='/here/0_x=1'",
        "seed=1",
    ]


def test_what_needs_a_run_is_left_out_of_a_check_with_the_choice_that_asks_for_it():
    jobs = Ablation.of(axes=GROWTH, seeds=[1]).jobs()
    assert {job.label: job.alone() for job in jobs} == {
        "grown": ["controller=heuristic", "seed=1"],
        "none": ["seed=1"],
        "large": ["seed=1"],
        "twice": ["seed=1"],
    }


def test_other_options_of_that_choice_are_left_out_as_well():
    more = ["baseline=static_large", "baseline.run={grown}", "baseline.compute=2", "threads=1"]
    axes = {"growth": {"grown": "controller=heuristic", "more": more}}
    (job,) = (job for job in Ablation.of(axes=axes, seeds=[1]).jobs() if job.label == "more")
    assert job.alone() == ["threads=1", "seed=1"]


def test_a_mapping_of_hydras_grammar_is_no_run():
    (job,) = Ablation.of(axes={"a": {"one": "slots.planted={stages.0:se}"}}, seeds=[1]).jobs()
    assert not job.needs
    assert job.told({}) == job.alone() == ["slots.planted={stages.0:se}", "seed=1"]


def test_the_baseline_is_the_first_arm_unless_it_is_named():
    assert Ablation.of(axes=GROWTH, seeds=[1]).baseline == "large"
    assert Ablation.of(axes=GROWTH, seeds=[1], baseline="none").baseline == "none"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"baseline": "grow"}, "baseline: unknown arm 'grow'; did you mean 'grown'"),
        ({"seeds": []}, "seeds: "),
        ({"seeds": [1, 1]}, "seeds: "),
        ({"seeds": 3}, "seeds: 3 came"),
        ({"seeds": [1.5]}, "seeds: "),
        ({"seeds": [None]}, "seeds: "),
        ({"seeds": [[1, 2]]}, "seeds: "),
        ({"axes": {"ramp": {"slow": 8}}}, r"axes\.ramp\.slow: 8 came"),
        ({"measure": "speed"}, "measure: unknown measure 'speed'"),
        ({"axes": {"ramp": []}}, r"axes\.ramp: needs different levels"),
        ({"axes": {"ramp": ["cosine", "cosine"]}}, r"axes\.ramp: needs different levels"),
        ({"axes": {"ramp": "cosine"}}, r"axes\.ramp: 'cosine' came"),
        ({"axes": {"ramp": {"slow": "eight"}}}, r"axes\.ramp\.slow: 'eight' came"),
        ({"axes": {"a": {"x": "k={z}", "y": "k=1"}}}, r"axes\.a: unknown level 'z'"),
        ({"axes": {"a": {"x": "k={y}", "y": "k={x}"}}}, r"need each other: x, y"),
    ],
)
def test_what_is_no_ablation_is_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        Ablation.of(**{"axes": GROWTH, "seeds": [1, 2], **changed}).jobs()


def test_samples_have_every_level_once_with_the_first_seed():
    axes = {"a": ["1", "2", "3"], "b": ["x", "y"], "c": ["u", "v"]}
    samples = Ablation.of(axes=axes, seeds=[5, 6]).samples()
    assert {job.seed for job in samples} == {5}
    assert len(samples) == 1 + 2 + 1 + 1
    for number, values in enumerate(axes.values()):
        axis = "abc"[number]
        assert {job.levels[number] for job in samples} == {f"{axis}={each}" for each in values}


def test_the_record_says_which_job_is_which():
    ablation = Ablation.of(axes=GROWTH, seeds=[1, 2], question="Why?")
    record = ablation.record("name")
    assert json.loads(json.dumps(record)) == record
    assert record["axes"] == {"growth": ["large", "twice", "grown", "none"]}
    assert [arm["number"] for arm in record["arms"]] == list(range(8))
    assert {arm["label"] for arm in record["arms"]} == set(record["axes"]["growth"])
