"""Static networks that a grown one is held against: from scratch, for the same training compute.

A baseline is read from a finished run: its folder says which network growth ended with and how many
FLOPs training was charged, incubation, evaluation and pruned seeds included.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kasmina.assembly import Plain, make_module
from kasmina.data.base import DataModule
from kasmina.data.order import EpochBatches
from kasmina.flops import few, step_cost
from kasmina.jobs import FINISHED, summary
from kasmina.recipe import TARGET, build

_LIMIT = "callbacks.budget.flops"
_NO_GROWTH = {TARGET: "kasmina.control.none.NoGrowth"}
_WHOLE: Mapping[str, Any] = {
    **{"limit_train_batches": 1.0, "limit_val_batches": 1.0, "val_check_interval": 1.0},
    **{"overfit_batches": 0.0, "check_val_every_n_epoch": 1},
}
"""What means whole epochs; to Lightning a whole 1 is one batch, and 1.0 is all of them."""


class Static(ABC):
    """A network that does not grow, for the training FLOPs of a run that did.

    Args:
        run: that run's folder.
        compute: FLOPs of this network's training, as a multiple of that run's.

    Raises:
        ValueError: the folder has no finished run, or a multiple that pays for nothing.
    """

    def __init__(self, *, run: str, compute: float = 1.0) -> None:
        if not 0 < compute < math.inf:
            raise ValueError(f"compute is a finite number above 0, not {compute}")
        self.summary = _summary(Path(run))
        self.compute = compute

    @property
    def flops(self) -> float:
        """What this network is trained for: that run's training, all of it, times ``compute``."""
        return self.compute * float(self.summary["flops"])

    @property
    @abstractmethod
    def planted(self) -> Mapping[str, str]:
        """Blueprints that stand in the network from the first step, by site."""


class StaticLarge(Static):
    """The network that growth ended with."""

    @property
    def planted(self) -> Mapping[str, str]:
        """The seeds that were kept."""
        return dict(self.summary["fossils"])


class StaticSmall(Static):
    """The host without any seed."""

    @property
    def planted(self) -> Mapping[str, str]:
        """None."""
        return {}


def _summary(folder: Path) -> dict[str, Any]:
    found = summary(folder)
    if not found:
        raise ValueError(f"{folder} is no finished run: summary.json cannot be read")
    if found.get("status") != FINISHED:
        raise ValueError(f"{folder} has not finished: its status is {found.get('status')!r}")
    return found


def network(config: DictConfig) -> DictConfig:
    """The config with the network of its baseline; as it is where none is chosen.

    References are left as they are, so that what points at the controller gets the new one.

    Raises:
        ValueError: no finished run there, or a trainer that trains on parts of an epoch.
    """
    if config.baseline is None:
        return config
    for key, whole in _WHOLE.items():
        value = config.trainer.get(key)
        if value and (value != whole or type(value) is not type(whole)):
            raise ValueError(f"trainer.{key}: a baseline counts whole epochs; leave it out")
    static = copy.deepcopy(config)
    with open_dict(static):
        static.controller = _NO_GROWTH
        static.slots.planted = dict(_baseline(config).planted) or None
    return static


def at_equal_compute(config: DictConfig) -> DictConfig:
    """The config of the baseline's network, trained for as many steps as the FLOPs pay for.

    The steps are rounded down; validation is paid for as well, once an epoch. A limit on FLOPs is
    the grown run's own, and is multiplied as the FLOPs are.

    Raises:
        ValueError: as ``network``, or FLOPs that do not pay for one step.
    """
    if config.baseline is None:
        return config
    static = network(config)
    plain: Any = OmegaConf.to_container(static, resolve=True)
    baseline = _baseline(config)
    steps, epochs = affordable(plain, baseline.flops)
    static.trainer.max_steps, static.trainer.max_epochs = steps, epochs
    limit = OmegaConf.select(static, _LIMIT)
    if limit is not None:
        OmegaConf.update(static, _LIMIT, baseline.compute * limit)
    return static


def _baseline(config: DictConfig) -> Static:
    baseline: Static = build(OmegaConf.to_container(config.baseline, resolve=True))
    return baseline


def affordable(config: Plain, flops: float) -> tuple[int, int]:
    """Optimizer steps of a config's network, with a validation an epoch, for a sum of FLOPs.

    Returns:
        The steps, and the epochs that they begin.

    Raises:
        ValueError: not one step.
    """
    data: DataModule = build(config["data"])
    module = make_module({**config, "compile": {**config["compile"], "mode": "off"}}, data)
    inputs, targets = few(module.lay_out(data.example()))
    cost = step_cost(
        module.model, module.incubation, inputs, lambda out: module.task.loss(out, targets)
    )
    per_validation = len(data.dataset("val")) * cost.evaluation
    batches, samples = _epoch(data, _ranks(config["trainer"]))
    window = config["trainer"].get("accumulate_grad_batches", 1)
    steps_an_epoch = math.ceil(batches / window)
    per_epoch = samples * cost.main + per_validation
    epochs, rest = divmod(flops, per_epoch)
    last = max(0.0, rest - per_validation) / (samples * cost.main) * steps_an_epoch
    steps = int(epochs) * steps_an_epoch + int(last)
    if steps < 1:
        raise ValueError(f"baseline: {flops:.3g} FLOPs do not pay for one step of this network")
    return steps, math.ceil(steps / steps_an_epoch)


def _epoch(data: DataModule, ranks: int) -> tuple[int, int]:
    """Batches of an epoch on each rank, and samples over all."""
    order = EpochBatches(
        len(data.dataset("train")),
        data.batch_size,
        drop_last=data.drop_last,
        draws=data.draws,
        rank=0,
        world_size=ranks,
    )
    return len(order), len(order.order())


def _ranks(trainer: Mapping[str, Any]) -> int:
    """Processes that Lightning will train with."""
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return int(build(trainer, **options).world_size)
