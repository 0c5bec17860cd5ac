"""Searches from the command line, of real runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml
from runs import VECTORS, load, rows

from kasmina import hydra_api, jobs
from kasmina.cli import main
from kasmina.lock import locked

QUIET = ("callbacks.progress=null", "report=false", "threads=1", "controller=none")
DIGITS = ("host.widths=[4,4]", "trainer.max_epochs=4", "data.batch_size=64")
SEARCH = ("-m", "hydra/sweeper=search")
HERE = ("hydra/launcher=basic", "hydra.sweep.dir=here")

WITNESS = """
import os, time
from pathlib import Path
from lightning import Callback

class Witness(Callback):
    def on_train_epoch_start(self, trainer, module):
        if os.environ.get("HOLD") == str(trainer.current_epoch):
            Path("held").write_text(str(os.getpid()))
            time.sleep(1000)
"""
SEEN = "+callbacks.witness._target_=witness.Witness"
PATH = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


def runs_of(folder: str) -> list[Path]:
    return sorted(path.parent for path in Path(folder).rglob("summary.json"))


def trials(folder: Path) -> list[tuple[object, ...]]:
    """Of a study: state, values, and what was reported."""
    (database,) = folder.glob("study.db")
    storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
    (study,) = optuna.get_all_study_summaries(storage)
    found = optuna.load_study(study_name=study.study_name, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return [(t.state.name, t.params, t.values, t.intermediate_values) for t in found]


def test_a_bad_trial_is_pruned_and_its_test_split_is_not_read(capsys):
    pruner = ("hydra.sweeper.pruner=median", "+hydra.sweeper.pruner_options.n_startup_trials=1")
    two = ("hydra.sweeper.method=random", "hydra.sweeper.trials=2", "hydra.sweeper.seed=10")
    assert main([*SEARCH, *HERE, *QUIET, *DIGITS, *pruner, *two, "optimizer.lr=0.03,1e-9"]) == 0
    good, bad = runs_of("here")
    assert [load(run, "summary.json")["status"] for run in (good, bad)] == ["finished", "pruned"]
    assert load(good, "summary.json")["test"]["test/accuracy"] > 0
    assert load(bad, "summary.json")["test"] is None
    assert [len(rows(run)) for run in (good, bad)] == [4, 1]
    assert load(bad, "summary.json")["flops"] * 4 == load(good, "summary.json")["flops"]
    best = load(good, "summary.json")["best"]["value"]
    curves = [
        {n: float(r["val/accuracy"]) for n, r in enumerate(rows(run), 1)} for run in (good, bad)
    ]
    assert trials(Path("here")) == [
        ("COMPLETE", {"optimizer.lr": "0.03"}, [best], curves[0]),
        ("PRUNED", {"optimizer.lr": "1e-09"}, [curves[1][1]], curves[1]),
    ]
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == (
        f"best of 2 trials (1 pruned, 0 failed): job 0, val/accuracy {best:.6g}: optimizer.lr=0.03"
    )
    results = yaml.safe_load(Path("here/optimization_results.yaml").read_text())
    assert results["best_value"] == best
    assert (
        jobs.ended(Path("here"), bad, number=1, code=0, seconds=1, overrides=[]).value
        == (load(bad, "summary.json")["best"]["value"])
    )


@pytest.mark.skipif(os.name == "nt", reason="the system has no such locks")
def test_a_search_that_still_runs_is_asked_for_no_trials_by_a_second(capsys):
    folder = Path("held")
    folder.mkdir()
    with locked(folder):
        assert main([*SEARCH, *VECTORS, "optimizer.lr=0.1,0.2", "hydra.sweep.dir=held"]) == 2
    assert "jobs still run in" in capsys.readouterr().err
    assert not (folder / "study.db").exists()


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_a_search_that_is_killed_goes_on_with_the_same_trials(monkeypatch, capsys):
    Path("witness.py").write_text(WITNESS)
    asked = (*SEARCH, *VECTORS, *QUIET, "trainer.max_epochs=3", "optimizer.lr=interval(1e-3,0.1)")
    pruner = ("hydra.sweeper.pruner=asha", "hydra.sweeper.trials=1")
    kill(begin(*asked, *pruner, SEEN, HOLD="1"))
    (folder,) = Path("multirun/default").iterdir()
    ((state, params, _, reported),) = trials(folder)
    assert (state, list(reported)) == ("RUNNING", [1])
    monkeypatch.setenv("PYTHONPATH", PATH)
    assert main(["-m", f"resume='{folder}'"]) == 0
    assert "job 0 goes on: " in capsys.readouterr().out
    assert main([*asked, *pruner, *HERE]) == 0
    (killed, whole) = (trials(folder), trials(Path("here")))
    assert killed == whole
    assert killed[0][:2] == ("COMPLETE", params)
    assert [jobs.read(folder)[0].value] == killed[0][2]


def begin(*overrides: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kasmina", *overrides],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATH, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """The parent and its job, once the job waits: as when a machine goes down."""
    deadline = time.monotonic() + 200
    while not Path("held").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    process.kill()
    os.killpg(int(Path("held").read_text()), signal.SIGKILL)
    process.communicate()
