"""What did not finish is listed with the reason, whoever knows it."""

import json
import math

import pytest
from _runs import RunFolder

from kasmina.ablation import PLAN
from kasmina.jobs import JOBS, Job, append, words
from kasmina.report.failures import failures
from kasmina.report.gather import gather
from kasmina.report.groups import group
from kasmina.report.parse import RunError

ERROR = "config error: blend: unknown option 'x'"


class Sweep:
    """A multirun's folder, job by job; odd numbers have chosen ``host=gpt``."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def name(self, number):
        return f"{number}_job"

    def overrides(self, number):
        return ["experiment=digits", f"host={('mlp', 'gpt')[number % 2]}", f"seed={number}"]

    def run(self, number, **options):
        made = RunFolder(
            self.folder / self.name(number),
            ticks=2,
            seed=number,
            overrides=self.overrides(number),
            **options,
        )
        return made.write()

    def job(self, number, state, error=""):
        chosen = words(self.overrides(number))
        append(self.folder, Job(number, state, math.nan, 1.0, 1, self.name(number), chosen, error))

    def plan(self, numbers, overrides=None):
        told = overrides or {n: self.overrides(n)[1:] for n in numbers}
        arms = [
            {"label": "ab"[n % 2], "overrides": told[n], "seed": n, "number": n} for n in numbers
        ]
        whole = {"name": "n", "question": "Why?", "axes": {"x": ["a", "b"]}, "baseline": "a"}
        (self.folder / PLAN).write_text(json.dumps({**whole, "arms": arms}))

    def failures(self, *folders):
        found = gather([self.folder, *folders] if not folders else list(folders))
        return [
            (it.folder.name, it.label, it.status, it.reason, it.seed)
            for it in failures(found, group(found.runs, found.arms))
        ]


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path / "m")


def test_a_job_that_failed_before_it_had_a_record_is_listed_with_its_error(sweep):
    sweep.run(0)
    sweep.job(0, "finished")
    sweep.job(1, "failed", ERROR)
    assert sweep.failures() == [("1_job", "host=gpt", "failed", ERROR, 1)]


def test_a_job_that_was_tried_again_counts_as_its_last_try(sweep):
    sweep.job(0, "failed", ERROR)
    sweep.run(0)
    sweep.job(0, "finished")
    assert sweep.failures() == []


def test_a_run_without_a_summary_has_failed_as_its_job_says(sweep):
    sweep.run(0)
    sweep.run(1, status=None)
    sweep.job(1, "failed", "killed by SIGKILL; before that: epoch 2")
    (found,) = sweep.failures()
    assert found[2:4] == ("failed", "killed by SIGKILL; before that: epoch 2")


@pytest.mark.parametrize("status", ["diverged", "interrupted", "failed", "pruned"])
def test_a_status_of_the_record_stands_and_without_a_reason_its_length_is_told(sweep, status):
    sweep.run(0)
    sweep.run(1, status=status)
    (found,) = sweep.failures()
    assert found[2:4] == (status, f"{status} after 2 epochs, 40 steps")


def test_the_reason_that_a_record_gives_comes_first(sweep):
    folder = sweep.run(0, status="pruned")
    path = folder / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "reason": "below the median"}))
    sweep.job(0, "failed", "other words")
    (found,) = sweep.failures()
    assert found[2:4] == ("pruned", "below the median")


def test_an_arm_that_no_job_has_begun_is_listed(sweep):
    sweep.run(0)
    sweep.plan([0, 1])
    reason = "job 1 of the ablation has not begun"
    assert sweep.failures() == [("m", "b", "not run", reason, 1)]


def test_a_run_that_cannot_be_read_has_the_label_of_its_arm(sweep):
    sweep.run(0)
    (sweep.run(1) / "ledger.json").write_text("{")
    sweep.plan([0, 1])
    (found,) = sweep.failures()
    assert found[1:3] == ("b", "unreadable")


def test_of_runs_that_are_named_one_by_one_no_others_are_missed(sweep):
    one = sweep.run(0)
    sweep.job(1, "failed", ERROR)
    sweep.plan([0, 1, 2])
    found = gather([one])
    assert failures(found, group(found.runs, found.arms)) == []
    assert [arm.label for arm in found.arms.values()] == ["a"]


def test_a_multirun_without_a_single_run_is_all_failures(sweep):
    sweep.job(0, "failed", ERROR)
    assert [it[2] for it in sweep.failures()] == ["failed"]


def test_the_arms_of_a_plan_are_the_configurations(sweep):
    for number in range(4):
        sweep.run(number)
        sweep.job(number, "finished")
    sweep.plan(range(4))
    found = gather([sweep.folder])
    groups = group(found.runs, found.arms)
    assert {it.label: len(it.runs) for it in groups} == {"a": 2, "b": 2}
    assert [it.levels for it in groups] == [{"x": "a"}, {"x": "b"}]


def test_a_run_of_another_version_of_the_ablation_is_no_run_of_its_arm(sweep):
    for number in range(3):
        sweep.run(number)
        sweep.job(number, "finished")
    moved = RunFolder(sweep.folder / "2_other", ticks=2, seed=2).write()  # its job has a new row
    sweep.plan(range(3), {0: ["seed=0"], 1: ["host=mlp", "seed=1"], 2: ["host={a}", "seed=2"]})
    found = gather([sweep.folder])
    assert [run.folder.name for run in found.runs] == ["0_job", "2_job"]
    assert found.strays == (sweep.folder / "1_job", moved)
    reasons = {name: (label, status) for name, label, status, _, _ in sweep.failures()}
    assert reasons == dict.fromkeys(["1_job", "2_other"], ("", "not planned"))


def test_different_ablations_are_not_mixed(tmp_path):
    for name in "mn":
        made = Sweep(tmp_path / name)
        made.run(0)
        made.plan([0])
    assert gather([tmp_path]).plan.name == "n"
    path = tmp_path / "n" / PLAN
    path.write_text(path.read_text().replace('"name": "n"', '"name": "other"'))
    with pytest.raises(RunError, match="hold different ablations; report on one at a time"):
        gather([tmp_path])


def test_a_table_of_jobs_that_is_none_is_named(sweep):
    sweep.run(0)
    (sweep.folder / JOBS).write_text("number,state\n0,finished\n")
    with pytest.raises(RunError, match=rf"{JOBS} cannot be read"):
        gather([sweep.folder])
