"""Runs are found by any key of their config or number of their summary."""

import pytest
from _runs import RunFolder

from kasmina.report.finding import Condition, find, told
from kasmina.report.parse import RunError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten seeds; the learning rate falls with them, and 3 and 4 did not finish."""
    made = tmp_path_factory.mktemp("runs")
    for seed in range(10):
        config = {
            "optimizer": {"_target_": "torch.optim.SGD", "lr": 10.0**-seed, "nesterov": False},
            "controller": {"_target_": "kasmina.control.biggest.Biggest", "at": [1, 2]},
            "data": {"root": None},
        }
        status = {3: "diverged", 4: None}.get(seed, "finished")
        values = {"val/accuracy": [seed / 10]}
        RunFolder(
            made / str(seed), ticks=1, seed=seed, config=config, status=status, values=values
        ).write()
    return made


def seeds(folder, *texts, **options):
    conditions = [Condition.read(text) for text in texts]
    return [int(run.folder.name) for run in find([folder], conditions, **options)]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["seed=1,2"], [1, 2]),
        (["seed!=1,2", "seed<5"], [0, 3, 4]),
        (["val/accuracy>0.75"], [8, 9]),
        (["val/accuracy>=0.5", "val/accuracy<=0.6"], [5, 6]),
        (["status=finished", "seed<5"], [0, 1, 2]),
        (["status=unfinished,diverged"], [3, 4]),
        (["optimizer.lr=0.001"], [3]),
        (["optimizer.lr=1e-3"], [3]),
        (["optimizer.lr<2e-8"], [8, 9]),
        (["optimizer=sgd", "seed=7"], [7]),
        (["optimizer.nesterov=false", "data.root=null", "seed=7"], [7]),
        (["optimizer.nesterov=true"], []),
        (["controller.at=[1, 2]", "seed=7"], [7]),
        (["controller._target_~BIGGEST", "seed>=9"], [9]),
        (["parameters<774"], []),
        (["parameters<775", "seed=1"], [1]),
        (["best>0.85"], [9]),
        (["test/accuracy>0.85"], [9]),
        ([], list(range(10))),
    ],
)
def test_conditions_hold_together(folder, texts, found):
    assert seeds(folder, *texts) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("optimizer.lr", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("best:desc", [9, 8, 7, 6, 5, 3, 2, 1, 0, 4]),
        ("best", [0, 1, 2, 3, 5, 6, 7, 8, 9, 4]),
    ],
)
def test_runs_are_sorted_and_those_without_the_key_come_last(folder, sort, found):
    assert seeds(folder, sort=sort) == found


@pytest.mark.parametrize(
    "asked",
    [
        {"conditions": [Condition("optimiser.lr", "=", "1")]},
        {"sort": "optimiser.lr:desc"},
        {"columns": ["optimiser.lr"]},
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(folder, asked):
    with pytest.raises(RunError, match=r"unknown key 'optimiser.lr'; did you mean 'optimizer.lr'"):
        find([folder], **asked)


def test_an_order_needs_a_number(folder):
    with pytest.raises(RunError, match="seed>x: 'x' is no number"):
        seeds(folder, "seed>x")


@pytest.mark.parametrize("text", ["runs/default", "plain", "=5"])
def test_what_has_no_key_and_sign_is_no_condition(text):
    assert Condition.read(text) is None


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match=f"no run in {tmp_path}"):
        find([tmp_path])


def test_a_broken_summary_does_not_hide_the_others(tmp_path):
    for seed in (0, 1):
        RunFolder(tmp_path / str(seed), ticks=1, seed=seed).write()
    (tmp_path / "1" / "summary.json").write_text("{")
    assert seeds(tmp_path, "status=unreadable") == [1]
    assert seeds(tmp_path, "status=finished") == [0]


def test_values_are_told_in_their_units(folder):
    run, none = find([folder], [Condition("seed", "=", "4,5")], sort="seed:desc")
    assert told(run, "best") == "50.0 %"
    assert told(run, "flops").endswith("FLOP")
    assert told(run, "optimizer") == "sgd"
    assert told(none, "best") == "-"
    assert told(none, "seed") == "4"
