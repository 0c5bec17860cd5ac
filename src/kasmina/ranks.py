"""What a process learns from its environment about its ranks, and what a job must not inherit."""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import cache

JOB_OF = "KASMINA_JOB_OF"
"""Environment variable of a multirun's job: the process that started it."""

_RANKS = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "NODE_RANK"),
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
)
_RUNS = (
    *("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "WANDB_RUN_ID", "WANDB_NAME", "WANDB_RESUME"),
    *("WANDB_SERVICE", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH"),
)
_PREFIXES = ("TORCHELASTIC_", "SLURM_STEP", "_WANDB")
_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a new run: without the ranks and the W&B run of the one around it.

    SLURM's task variables go too: by them Lightning would wait for ranks that srun starts.
    """
    return {
        name: value
        for name, value in environment.items()
        if name not in _RANKS + _RUNS and not name.startswith(_PREFIXES)
    }


def leave() -> None:
    """Clean this process's own environment: the jobs of a multirun are no ranks of what is around.

    Lightning would take a leftover of sbatch or of another run for its own while jobs are checked.
    """
    for name in os.environ.keys() - clean(os.environ).keys():
        del os.environ[name]


def from_outside() -> bool:
    """Whether torchrun or srun has started this process as one rank of several."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ.get("WORLD_SIZE", "1")) > 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1


def rank() -> int:
    """Of this process among those that torchrun or srun has started; 0 without them."""
    if not from_outside():
        return 0
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def started() -> str:
    """The time for a run's folder: of this moment, to the microsecond; ranks share rank 0's.

    Under srun, where the ranks have nothing in common but the job, it is the job's and step's
    number, and that of the restart after a requeue.
    """
    if not from_outside():
        return _now()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _agreed()
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    return "-".join(["slurm", *(os.environ[name] for name in names if name in os.environ)])


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")


@cache
def _agreed() -> str:
    """By the store that torchrun keeps for its ranks."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":  # it has none before training
        return f"torchrun-{os.environ['TORCHELASTIC_RUN_ID']}-{port}"
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore(address, port, is_master=False)
    key = f"kasmina/started/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if rank() == 0:
        store.set(key, _now())
    return store.get(key).decode()


def end_with_parent() -> None:
    """Let a multirun's job end, saved, when the process that started it is killed. Linux only.

    The job's own children have another parent: they are not told.
    """
    parent = os.environ.pop(JOB_OF, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGTERM)
    if os.getppid() != int(parent):  # it was killed before
        sys.exit(128 + signal.SIGTERM)
