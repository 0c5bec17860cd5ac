"""A trained network under examination: scores of single samples, copies, and what is said of them.

A score is the monitored metric of one sample, with the sign at which more is better; every method
compares two networks on the same samples, so that an interval is one of paired differences.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins import Precision
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor

from kasmina import checkpoints
from kasmina.assembly import Plain
from kasmina.attribution.samples import sample_scores
from kasmina.data.base import DataModule
from kasmina.flops import StepCost, few, step_cost
from kasmina.graft import call
from kasmina.lit import GrowingModule
from kasmina.rebuild import config_of, restore
from kasmina.recipe import build
from kasmina.report.stats import interval
from kasmina.slot import SeedSlot
from kasmina.suggest import unknown
from kasmina.tasks import predictions

SPLITS = ("validation", "test")
ALL = "all"
"""In the place of a site: what all seeds together have brought."""

_EAGER = {"mode": "off", "scope": "blocks", "fullgraph": False, "dynamic": None}

Say = Callable[[int, int], None]
"""Told how many parts of the work are done, and of how many."""


@dataclass(frozen=True)
class Record:
    """What one method says of one seed.

    Args:
        site, blueprint: of the seed; ``all`` and the blueprints, where it is of all seeds together.
        method: its name.
        value: the metric with the seed minus the metric without it; positive: the seed helps,
            whether more of the metric is better or less.
        low, high: 95 % bootstrap interval over samples, paired.
        metric: the monitored one, with its split.
        samples: how many there are.
        flops: what the method would cost for this record alone.
        error: standard error of a Monte Carlo estimate; 0 where nothing is drawn.
    """

    site: str
    blueprint: str
    method: str
    value: float
    low: float
    high: float
    metric: str
    samples: int
    flops: float
    error: float = 0.0


@dataclass
class Subject:
    """A network, the data of its run, and the config of both.

    Args:
        module: rebuilt from a checkpoint; no method changes it.
        data: of its run.
        config: of its run.
        split: whose samples are scored, ``validation`` or ``test``; loaded at the first score.
    """

    module: GrowingModule
    data: DataModule
    config: Plain
    split: str = "validation"
    _device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(unknown("split", self.split, SPLITS))
        if self.config["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available():
            self._device = torch.device("cuda")

    def grown(self) -> list[SeedSlot]:
        """The slots whose seed takes part in the forward."""
        return [s for s in self.module.model if s.seed is not None and s.route != "host"]

    def chosen(self, site: str | None) -> list[SeedSlot]:
        """The grown slots, or the one at ``site``.

        Raises:
            ValueError: no seed has grown, or none there.
        """
        grown = self.grown()
        if not grown:
            raise ValueError("nothing to attribute: no seed takes part in this network's forward")
        if site is None:
            return grown
        names = [slot.site.name for slot in grown]
        if site not in names:
            raise ValueError(unknown("site of a grown seed", site, names))
        return [slot for slot in grown if slot.site.name == site]

    def like(self, module: GrowingModule) -> "Subject":
        """Another network on the same data."""
        return replace(self, module=module)

    def copy(self) -> GrowingModule:
        """Of the network as it stands, to be changed and trained."""
        with torch.inference_mode(False):
            return copy.deepcopy(self.module)

    @property
    def metric(self) -> str:
        """As tables call it."""
        short = "val" if self.split == "validation" else "test"
        return f"{short}/{self.module.task.monitor}"

    def scores(self, alphas: Mapping[str, float] | None = None) -> Tensor:
        """The score of every sample, (N,) float64.

        Args:
            alphas: see ``Grafted.forward``.
        """
        model = self.module.model

        def outputs(inputs: Any) -> Any:
            return call(model, inputs, alphas=alphas)

        return self.scored(outputs)[0]

    def scored(self, outputs: Callable[[Any], Any], networks: int = 1) -> Tensor:
        """Scores of networks that are evaluated together, (networks, N) float64.

        Args:
            outputs: of a batch of inputs; the predictions of the first network for all samples of
                the batch, then those of the second, and so on.
            networks: how many.
        """
        found = []
        with torch.inference_mode(), self._ready():
            for inputs, targets in self._batches():
                with self._precision.forward_context():
                    given = predictions(outputs(inputs)).detach()
                each = sample_scores(self.module.task, given, _repeated(targets, networks))
                found.append(each.reshape(networks, -1).cpu())
        return torch.cat(found, dim=1)

    @cached_property
    def price(self) -> StepCost:
        """FLOPs a sample, of training and of a forward."""
        batch = self.module.lay_out(self.data.example())
        inputs, targets = few(batch[0]), few(batch[1])
        task = self.module.task
        return step_cost(
            self.module.model, self.module.incubation, inputs, lambda out: task.loss(out, targets)
        )

    @property
    def samples(self) -> int:
        """How many are scored."""
        return len(self._dataset())

    @cached_property
    def _precision(self) -> Precision:
        return make_trainer(self.config).precision_plugin

    @contextmanager
    def _ready(self) -> Iterator[None]:
        self.module.to(self._device).eval()
        try:
            yield
        finally:
            self.module.to("cpu")

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        dataset, size = self._dataset(), self.data.batch_size
        for indices in torch.split(torch.arange(len(dataset)), size):
            batch = move_data_to_device(dataset[indices], self._device)
            inputs, targets = self._precision.convert_input(self.data.normalise(batch))
            yield self.module.lay_out((inputs, targets))

    def _dataset(self) -> Any:
        self.data.prepare_data()
        self.data.setup("test" if self.split == "test" else "fit")
        return self.data.dataset("test" if self.split == "test" else "val")


def read_subject(path: Path, split: str = "validation") -> Subject:
    """The network of a run at its last step, or of a checkpoint file.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: it cannot be read (see ``kasmina.checkpoints.read``), does not say how its
            network was built, or the split is unknown.
    """
    file = path if path.is_file() else path / checkpoints.FOLDER / f"{checkpoints.LAST}.ckpt"
    saved = checkpoints.read(file)
    config = config_of(saved)
    if config is None:
        raise ValueError(f"{file} does not say how its network was built: it is of format 1")
    data: DataModule = build(config["data"])
    module = restore(saved, {**config, "compile": _EAGER}, data)
    return Subject(module.eval(), data, config, split)


def make_trainer(config: Plain, **options: Any) -> L.Trainer:
    """The run's trainer on one device, that writes nothing."""
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "fast_dev_run": False,
        "profiler": None,
    }
    one = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    made: L.Trainer = build({**config["trainer"], **quiet, **one, **options})
    return made


def compare(
    subject: Subject,
    slots: Sequence[SeedSlot],
    differences: Tensor,
    *,
    method: str,
    flops: float,
    error: float = 0.0,
) -> Record:
    """The record of paired differences, (N,), with minus without."""
    ends = interval(differences.tolist())
    site = slots[0].site.name if len(slots) == 1 else ALL
    return Record(
        site=site,
        blueprint=" ".join(slot.seed.blueprint.name for slot in slots if slot.seed is not None),
        method=method,
        value=float(differences.mean()),
        low=ends.low,
        high=ends.high,
        metric=subject.metric,
        samples=len(differences),
        flops=flops,
        error=error,
    )


def _repeated(targets: Tensor, times: int) -> Tensor:
    return targets.repeat(times, *[1] * (targets.dim() - 1)) if times > 1 else targets
