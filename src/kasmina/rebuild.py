"""A network from its checkpoint alone: the file says how it was built, and what has grown in it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kasmina import checkpoints
from kasmina.assembly import Plain, make_module
from kasmina.data.base import DataModule
from kasmina.data.samples import Batch, Samples
from kasmina.lit import GrowingModule

_KEY = "hyper_parameters"  # Lightning's


def rebuild(path: Path) -> GrowingModule:
    """The module of a checkpoint, on the CPU; neither its run's folder nor its data are read.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read (see ``kasmina.checkpoints.read``), or is of format 1, which
            does not say how its network was built.
    """
    saved = checkpoints.read(path)
    told = saved.get(_KEY, {})
    if "config" not in told:
        raise ValueError(f"{path} does not say how its network was built; its run's folder does")
    example = told["example"]
    if example is None:
        raise ValueError(f"{path} can only be rebuilt with its data: its inputs are no one tensor")
    shape = _Shape(example["shape"], getattr(torch, example["dtype"]))
    return restore(saved, told["config"], shape)


def restore(saved: dict[str, Any], config: Plain, data: DataModule) -> GrowingModule:
    """The module of a checkpoint's content: slots are rebuilt, then weights loaded strictly."""
    module = make_module({**config, "slots": {**config["slots"], "planted": None}}, data)
    module.on_load_checkpoint(saved)
    module.load_state_dict(saved["state_dict"])
    return module


def recorded(config: Plain, data: DataModule) -> dict[str, Any]:
    """What ``rebuild`` needs of a run, as plain values: its config, and what two inputs are."""
    inputs: Any = data.example()[0]
    example = None
    if isinstance(inputs, Tensor):
        example = {"shape": list(inputs.shape), "dtype": str(inputs.dtype).rpartition(".")[2]}
    return {"config": dict(config), "example": example}


def config_of(saved: dict[str, Any]) -> dict[str, Any] | None:
    """The config that a checkpoint's content was written with; format 1 does not hold it."""
    found: dict[str, Any] | None = saved.get(_KEY, {}).get("config")
    return found


class _Shape(DataModule):
    """Stands in for data of which only the form matters: where slots are, and how wide."""

    def __init__(self, shape: list[int], dtype: torch.dtype) -> None:
        super().__init__(batch_size=shape[0], seed=0)
        self._inputs = torch.zeros(shape, dtype=dtype)

    def load(self, split: str) -> Samples:
        raise LookupError(f"a rebuilt module comes without the {split} split")

    def example(self) -> Batch:
        return self._inputs, torch.zeros(len(self._inputs), dtype=torch.long)
