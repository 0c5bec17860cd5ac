import shutil
from pathlib import Path

import optuna
import pytest
import runs
import trials

from kasmina.callbacks.base import the
from kasmina.callbacks.trial import TrialPruning

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")

SHORT = (*runs.VECTORS, "controller=none", "trainer.max_epochs=3")


def reported(address) -> dict[int, float]:
    return trials.stored(address).intermediate_values


def scores(folder: Path) -> list[float]:
    return [float(row["val/accuracy"]) for row in runs.rows(folder)]


def test_a_run_that_is_no_trial_is_left_alone(tmp_path):
    run = runs.fit(tmp_path / "run", *SHORT)
    assert run.trainer.current_epoch == 3
    assert the(run.trainer, TrialPruning).state_dict() == {"validations": 0, "pruned": False}


def test_every_validation_is_reported_and_a_pruned_run_reads_no_test_split(tmp_path):
    kept = trials.hand_to(tmp_path / "a" / "run", trials.NEVER)
    whole = runs.run(tmp_path / "a" / "run", *SHORT)
    assert reported(kept) == dict(enumerate(scores(whole), start=1))
    bad = trials.hand_to(tmp_path / "b" / "run", trials.AT_ONCE)
    stopped = runs.run(tmp_path / "b" / "run", *SHORT)
    assert reported(bad) == {1: scores(whole)[0]}
    summary = runs.load(stopped, "summary.json")
    assert (summary["status"], summary["epochs"], summary["test"]) == ("pruned", 1, None)
    assert summary["best"]["value"] == scores(whole)[0]
    assert runs.load(whole, "summary.json")["status"] == "finished"


def test_a_run_at_its_end_is_finished_and_not_pruned(tmp_path):
    for most in ("trainer.max_epochs=1", "+trainer.max_steps=4"):
        folder = tmp_path / most / "run"
        trials.hand_to(folder, trials.AT_ONCE)
        runs.run(folder, *SHORT, most, "test=false")
        assert runs.load(folder, "summary.json")["status"] == "finished"


def test_a_run_that_was_killed_after_it_was_pruned_goes_no_further(tmp_path):
    folder = tmp_path / "run"
    trials.hand_to(folder, trials.AT_ONCE)
    runs.run(folder, *SHORT)
    (folder / "summary.json").unlink()
    runs.run(folder, *SHORT, f"resume={folder}")
    assert len(runs.rows(folder)) == 1
    assert runs.load(folder, "summary.json")["status"] == "pruned"


def test_a_resumed_run_reports_what_its_study_does_not_know(tmp_path):
    address = trials.hand_to(tmp_path / "run", trials.NEVER)
    runs.run(tmp_path / "run", *SHORT, "trainer.max_epochs=2")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    runs.run(tmp_path / "run", *SHORT, f"resume={tmp_path / 'run'}")
    runs.run(tmp_path / "copy", *SHORT, f"resume={tmp_path / 'copy'}")  # says the third again
    assert reported(address) == dict(enumerate(scores(tmp_path / "copy"), start=1))
    assert len(reported(address)) == 3


def test_a_trial_that_the_study_holds_for_ended_is_trained_without_it(tmp_path):
    address = trials.hand_to(tmp_path / "run", trials.AT_ONCE)
    study = optuna.load_study(study_name="test", storage=address.storage)
    study.tell(0, state=optuna.trial.TrialState.FAIL)
    run = runs.fit(tmp_path / "run", *SHORT)
    assert run.trainer.current_epoch == 3
    assert reported(address) == {}


def test_a_study_that_is_gone_ends_the_run_with_its_address(tmp_path):
    address = trials.hand_to(tmp_path / "run", trials.AT_ONCE)
    (tmp_path / "study.db").unlink()
    with pytest.raises(ValueError, match="has no such trial") as error:
        runs.fit(tmp_path / "run", *SHORT)
    assert address.storage in str(error.value)
