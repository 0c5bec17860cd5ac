"""How many jobs have room on this machine: GPUs, or cores by the threads of a job."""

import os
from typing import Any

from omegaconf import DictConfig

from kasmina.pool import Places

VISIBLE = "CUDA_VISIBLE_DEVICES"
_GPU = {"gpu", "cuda"}


def places(config: DictConfig, *, most: int | None, per_device: int) -> Places:
    """Room for jobs like the one of ``config``.

    Args:
        config: of a job.
        most: jobs at a time; None: as many as fit.
        per_device: jobs that share a GPU.
    """
    if _on_gpu(config):
        names = _gpus() * per_device or ["0"]  # a job without a GPU says so itself
        return Places(names, variable=VISIBLE, most=most)
    room = most or max(1, cores() // (_threads(config) * _processes(config)))
    return Places([str(core) for core in range(room)])


def need(config: DictConfig) -> int:
    """GPUs that a job takes; on the CPU every job takes one place."""
    return _processes(config) if _on_gpu(config) else 1


def threads(config: DictConfig, most: int | None) -> dict[str, str]:
    """Environment that shares the cores out, where N jobs at a time were asked for and no threads.

    ``threads=`` and ``OMP_NUM_THREADS`` go before it.
    """
    if most is None or config.threads or "OMP_NUM_THREADS" in os.environ or _on_gpu(config):
        return {}
    return {"OMP_NUM_THREADS": str(max(1, cores() // (most * _processes(config))))}


def cores() -> int:
    """Of this process: a container or SLURM may have given it fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads(config: DictConfig) -> int:
    """Of a process, as torch will choose them."""
    return config.threads or int(os.environ.get("OMP_NUM_THREADS", cores()))


def _processes(config: DictConfig) -> int:
    """Ranks of a job on this machine; a list, ``auto`` and -1 mean as many as there are."""
    devices: Any = config.trainer.devices
    if isinstance(devices, int) and devices > 0:
        return devices
    if isinstance(devices, str) and devices.isdecimal():
        return int(devices)
    return len(_gpus()) if _on_gpu(config) else 1


def _on_gpu(config: DictConfig) -> bool:
    accelerator = config.trainer.accelerator
    return accelerator in _GPU or (accelerator == "auto" and bool(_gpus()))


def _gpus() -> list[str]:
    """As the environment names them, or by number."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]
