import os
import subprocess
import sys

import pytest

from kasmina import ranks

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
SRUN = {
    **{"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"},
    **{"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"},
}
OWN = {"PATH": "/bin", "WANDB_MODE": "offline", "SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "1"}


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in os.environ.keys() - ranks.clean(os.environ).keys():
        monkeypatch.delenv(name)


def be(monkeypatch, environment) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_a_job_inherits_no_rank_and_no_run():
    leaks = {**TORCHRUN, **SRUN, "WANDB_RUN_ID": "x", "MASTER_PORT": "1", "_WANDB_X": "1"}
    assert ranks.clean({**leaks, **OWN}) == OWN


def test_a_multirun_leaves_the_ranks_around_it(monkeypatch):
    be(monkeypatch, {**TORCHRUN, **OWN})
    ranks.leave()
    assert not TORCHRUN.keys() & os.environ.keys()
    assert OWN.items() <= dict(os.environ).items()


@pytest.mark.parametrize("outside", [TORCHRUN, SRUN])
def test_a_rank_of_torchrun_or_srun_knows_it(monkeypatch, outside):
    assert (ranks.from_outside(), ranks.rank()) == (False, 0)
    be(monkeypatch, outside)
    assert (ranks.from_outside(), ranks.rank()) == (True, 1)


@pytest.mark.parametrize("alone", [{**TORCHRUN, "WORLD_SIZE": "1"}, {"SLURM_NTASKS": "4"}])
def test_one_process_of_a_launcher_is_no_rank(monkeypatch, alone):
    be(monkeypatch, alone)
    assert not ranks.from_outside()


def test_two_moments_of_one_process_differ():
    assert ranks.started() != ranks.started()


@pytest.mark.parametrize("restart", ["", "1"])
def test_the_ranks_of_srun_name_a_run_after_their_job(monkeypatch, restart):
    be(monkeypatch, {**SRUN, **({"SLURM_RESTART_COUNT": restart} if restart else {})})
    assert ranks.started() == ("slurm-7-0-1" if restart else "slurm-7-0")


def ended(parent: int) -> int:
    code = "from kasmina.ranks import end_with_parent; end_with_parent(); print('on')"
    environment = {**os.environ, ranks.JOB_OF: str(parent)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_a_job_whose_parent_has_gone_does_not_begin():
    assert ended(os.getpid()) == 0
    assert ended(os.getpid() + 1) == 128 + 15
