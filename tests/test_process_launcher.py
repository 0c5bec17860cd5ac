"""Multiruns whose jobs are processes of their own, from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import VECTORS, load, rows, run

from kasmina import jobs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX"),
]

QUIET = ("callbacks.progress=null", "report=false")
PATH = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
LEAKS = {
    **{"RANK": "3", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "NODE_RANK": "1", "MASTER_PORT": "1"},
    **{"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "many", "WANDB_RUN_ID": "of-another"},
}

WITNESS = """
import json, os, time
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from lightning import Callback

class Witness(Callback):
    def on_train_start(self, trainer, module):
        job = HydraConfig.get().job.get("num", 0)
        facts = {"seed": int(os.environ["PL_GLOBAL_SEED"]), "job": job}
        facts |= {"folder": HydraConfig.get().runtime.output_dir}
        facts |= {"rank": trainer.global_rank, "ranks": trainer.world_size}
        facts["leaks"] = [name for name in LEAKS if name in os.environ]
        Path(f"job{job}rank{trainer.global_rank}.json").write_text(json.dumps(facts))
    def on_train_epoch_start(self, trainer, module):
        place = f"{os.environ['PL_GLOBAL_SEED']}:{trainer.current_epoch}"
        if os.environ.get("RAISE") == place:
            raise ArithmeticError("as the test wants it")
        if os.environ.get("HOLD") == place:
            Path("held").write_text(str(os.getpid()))
            time.sleep(1000)

LEAKS = ("WANDB_RUN_ID", "SLURM_NTASKS", "RANK", "GROUP_RANK")
"""
SEEN = "+callbacks.witness._target_=witness.Witness"

SWEEPER = '''
"""Asks for one job at a time; the seed of each is made of what the one before returned."""
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

class Climber(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        from hydra.core.plugins import Plugins
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config)
    def sweep(self, arguments):
        seed, told = 1, []
        for number in range(2):
            (job,) = self.launcher.launch([[*arguments, f"seed={seed}"]], number)
            told.append((seed, job.return_value))
            seed += 1 + round(1000 * job.return_value)
        open("told", "w").write(repr(told))

@dataclass
class Conf:
    _target_: str = "hydra_plugins.climber.Climber"

ConfigStore.instance().store(group="hydra/sweeper", name="climber", node=Conf)
'''


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("witness.py").write_text(WITNESS)


def begin(*overrides: str, **variables: str) -> subprocess.Popen[str]:
    module = ("torch.distributed.run", *TWO, "-m") if variables.pop("torchrun", "") else ("-m",)
    command = [sys.executable, *(("-m",) if len(module) > 1 else ()), *module, "kasmina"]
    return subprocess.Popen(
        [*command, *VECTORS, *QUIET, SEEN, *overrides],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATH, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


TWO = ("--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")


def finish(process: subprocess.Popen[str], code: int) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == code, said
    return said


def seen() -> list[dict[str, object]]:
    """What the witnesses of all ranks wrote, by job and rank."""
    return [json.loads(path.read_text()) for path in sorted(Path().glob("job*rank*.json"))]


def multirun() -> Path:
    (folder,) = Path("multirun/default").iterdir()
    return folder


@pytest.mark.long
def test_both_ranks_of_every_job_of_a_sweeper_have_the_same_values_and_one_folder():
    Path("hydra_plugins").mkdir()
    Path("hydra_plugins/climber.py").write_text(SWEEPER)
    few = ("trainer=ddp_sim", "trainer.max_epochs=1", "controller=none", "test=false")
    finish(begin("-m", "hydra/sweeper=climber", *few, **LEAKS), 0)
    told = eval(Path("told").read_text())
    runs = [multirun() / f"{number}_seed={seed}" for number, (seed, _) in enumerate(told)]
    assert [value for _, value in told] == [
        load(run, "summary.json")["best"]["value"] for run in runs
    ]
    assert told[0][0] != told[1][0]
    assert seen() == [
        {
            **{"seed": seed, "job": job, "folder": str(runs[job].resolve())},
            **{"rank": rank, "ranks": 2, "leaks": []},
        }
        for job, (seed, _) in enumerate(told)
        for rank in range(2)
    ]
    assert not Path("runs").exists()


def test_a_job_that_fails_stops_no_other_and_the_exit_code_tells():
    said = finish(begin("-m", "seed=1,2", "trainer.max_epochs=1", RAISE="1:0"), 1)
    table = jobs.read(multirun())
    assert [job.state for _, job in sorted(table.items())] == ["failed", "finished"]
    assert table[0].error == "ArithmeticError: as the test wants it"
    lines = said.splitlines()
    assert lines[-3].startswith("1 of 2 jobs done")
    assert lines[-2] == f"job 0 failed: {table[0].error}"
    assert lines[-1].strip() == str((multirun() / "0_seed=1" / jobs.OUTPUT).resolve())
    assert "Traceback" in Path(lines[-1].strip()).read_text()


def wait_for_a_job_that_waits(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not Path("held").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)


def kill(process: subprocess.Popen[str]) -> None:
    """Once a job waits: the parent and the job, as when a machine goes down."""
    wait_for_a_job_that_waits(process)
    process.kill()
    os.killpg(int(Path("held").read_text()), signal.SIGKILL)
    Path("held").unlink()
    process.communicate()


@pytest.mark.long
def test_a_multirun_that_is_killed_twice_ends_as_one_that_is_not(tmp_path):
    asked = ("-m", "resume=auto", "seed=1,2,3", "trainer.max_epochs=3", "hydra.launcher.jobs=1")
    first = begin(*asked, HOLD="1:1")
    wait_for_a_job_that_waits(first)
    assert "resume: jobs still run in" in finish(begin(*asked), 2)
    kill(first)
    assert jobs.read(multirun()) == {}
    kill(begin(*asked, HOLD="2:2"))
    assert [job.state for job in jobs.read(multirun()).values()] == ["finished"]
    before = load(multirun() / "0_seed=1", "environment.json")
    more = ("seed=1,2,3", "trainer.max_epochs=3", "hydra.launcher.jobs=2")
    said = finish(begin("-m", f"resume='{multirun()}'", *more), 0)
    assert "job 0" not in said
    assert "job 1 goes on: seed=2" in said
    assert "job 2 starts: seed=3" in said
    assert load(multirun() / "0_seed=1", "environment.json") == before
    values = {number: job.value for number, job in jobs.read(multirun()).items()}
    for number, seed in enumerate((1, 2, 3)):
        whole = run(tmp_path / f"whole{seed}", *VECTORS, f"seed={seed}", "trainer.max_epochs=3")
        job = multirun() / f"{number}_seed={seed}"
        assert timeless(job) == timeless(whole)
        assert values[number] == load(whole, "summary.json")["best"]["value"]


def timeless(folder: Path) -> tuple[object, ...]:
    """A run's metrics and result, without the clock."""
    table = [{k: v for k, v in row.items() if k != "wall_s"} for row in rows(folder)]
    summary = {k: v for k, v in load(folder, "summary.json").items() if k != "wall_s"}
    return table, summary


def test_the_ranks_of_torchrun_share_one_folder():
    few = ("trainer=ddp_sim", "trainer.max_epochs=1", "controller=none")
    finish(begin(*few, torchrun="2"), 0)
    (folder,) = Path("runs/default").iterdir()
    assert [(fact["rank"], fact["folder"]) for fact in seen()] == [
        (rank, str(folder.resolve())) for rank in range(2)
    ]
    assert (folder / "summary.json").is_file()


def test_ctrl_c_lets_every_job_save_and_leaves_none(tmp_path):
    long = ("trainer.max_epochs=100000", "hydra.launcher.jobs=1")
    process = begin("-m", "seed=1,2", *long)
    deadline = time.monotonic() + 200
    while not list(Path().rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)  # a background process may be deaf to Ctrl-C
    said = finish(process, 130)
    assert said.splitlines()[-1] == (
        f"interrupted, 0 jobs done; go on with: kasmina -m resume='{multirun().resolve()}'"
    )
    (summary,) = multirun().rglob("summary.json")
    assert json.loads(summary.read_text())["status"] == "interrupted"
