"""Ablations from config and command line."""

import pytest

from kasmina import arms, hydra_api
from kasmina.faults import ConfigFaults
from kasmina.launch import check_jobs

SHIPPED = hydra_api.options("ablation")


def asked(*overrides: str):
    return arms.ablation_of(hydra_api.settings("sweeper", list(overrides)), list(overrides))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_arm_of_a_shipped_ablation_is_a_right_config(name):
    overrides = [f"ablation={name}", "seed=1"]
    sweeper = hydra_api.settings("sweeper", overrides)
    assert arms.is_ablation(sweeper)
    with hydra_api.composer():
        check_jobs(arms.checkable(sweeper, overrides, 100), hydra_api.ROOT, keys_only=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_ablation_asks_a_question(name):
    ablation, _ = asked(f"ablation={name}")
    assert ablation.question.endswith("?")
    assert len(ablation.jobs()) >= 2 * len(ablation.seeds)


def test_what_is_typed_beside_it_holds_for_all_jobs():
    _, fixed = asked("ablation=incubation", "trainer.max_epochs=3", "hydra.launcher.jobs=1")
    assert fixed == ["ablation=incubation", "trainer.max_epochs=3", "hydra.launcher.jobs=1"]


@pytest.mark.parametrize(
    ("seeds", "read"), [("seed=7", [7]), ("seed=1,4", [1, 4]), ("seed=range(3)", [0, 1, 2])]
)
def test_seeds_are_typed_as_in_any_multirun(seeds, read):
    ablation, fixed = asked("ablation=incubation", seeds)
    assert ablation.seeds == read
    assert seeds not in fixed


def test_a_sweep_that_is_typed_is_one_more_axis():
    ablation, _ = asked("ablation=incubation", "blend=add,gate", "incubation=ste,shadow")
    labels = {axis: [level.label for level in each] for axis, each in ablation.axes.items()}
    assert labels == {
        "incubation": ["incubation=ste", "incubation=shadow"],
        "blend": ["blend=add", "blend=gate"],
    }


def test_a_range_of_real_numbers_is_no_axis():
    with pytest.raises(ConfigFaults, match="has levels"):
        asked("ablation=incubation", "optimizer.lr=interval(0.1,0.2)")


def test_what_is_wrong_with_an_ablation_is_a_fault_of_the_config():
    with pytest.raises(ConfigFaults, match=r"hydra\.sweeper\.baseline: unknown arm 'x'"):
        asked("ablation=incubation", "hydra.sweeper.baseline=x")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("seed=a,b", r"seeds: \['a', 'b'\] came"),
        ("hydra.sweeper.axes=3", "axes: 3 came"),
        ("+hydra.sweeper.axis=3", "unknown option 'axis'; did you mean 'axes'"),
        ("incubation=ste", "incubation=ste: has no effect"),
    ],
)
def test_what_cannot_be_meant_is_refused(typed, said):
    with pytest.raises(ConfigFaults, match=said):
        asked("ablation=incubation", typed)
