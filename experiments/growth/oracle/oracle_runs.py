"""Hosts, and one run from a state in which one seed, or none, grows."""

import contextlib
import csv
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from omegaconf import OmegaConf

from kasmina.assembly import Run, assemble
from kasmina.callbacks.base import the
from kasmina.callbacks.ledger import Ledger
from kasmina.hydra_api import compose

HOSTS = {
    "plain": "host.kernel_sizes=null",
    "no spatial stem": "host.kernel_sizes=[1,3,3]",
    "narrow middle": "host.widths=[6,2,6]",
    "no spatial late": "host.kernel_sizes=[3,3,1]",
}
"""All but the first lack something in one place."""
BLUEPRINTS = ("conv_heavy", "conv_light", "depthwise", "se", "norm")

LIFE = ((0, "train"), (1, "blend"), (4, "fossilize"))
"""Ticks after the germination; alpha is 1 from the third on."""
_RAMP = 2  # ticks
_FALL = 1 / 3


@dataclass(frozen=True)
class State:
    """A network at the time of its decision.

    Args:
        seed: of the run.
        tick: of the decision.
        flops: of a whole run, from its first step on.
    """

    host: str
    seed: int
    tick: int
    flops: float

    def overrides(self) -> list[str]:
        """Of a run without growth. The test data is not read."""
        callbacks = ("progress", "best", "last", "governor", "feed", "trial", "looks", "pruning")
        return [
            *("experiment=digits_grow", f"blueprint=[{','.join(BLUEPRINTS)}]"),
            *("host.widths=[6,6,6]", HOSTS[self.host], f"seed={self.seed}"),
            *("scheduler=constant", "optimizer.lr=0.01", "trainer.max_epochs=1000"),
            *("data.batch_size=128", f"ramp.ticks={_RAMP}", "controller=none"),
            f"callbacks.budget.flops={self.flops}",
            *(f"callbacks.{name}=null" for name in callbacks),
            *("+trainer.enable_progress_bar=false", "test=false", "report=false"),
        ]

    def grown(self, site: str, blueprint: str) -> list[str]:
        """Of the run in which this seed is forced through its whole life."""
        entries = [f"{{at:{self.tick},site:{site},do:germinate,blueprint:{blueprint}}}"]
        entries += [f"{{at:{self.tick + at},site:{site},do:{event}}}" for at, event in LIFE]
        timeline = f"controller.timeline=[{','.join(entries)}]"
        return [*self.overrides(), "controller=schedule", "controller.pace=null", timeline]


class Falling(Callback):
    """The learning rate falls to zero over the last third of the FLOPs.

    A run's last loss is then not that of a network in full flight. By FLOPs and not by steps,
    because runs that cost the same differ in their number of steps.
    """

    def __init__(self, flops: float) -> None:
        self.flops = flops

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """After the scheduler, which writes the rate of each step anew."""
        left = max(0.0, 1 - the(trainer, Ledger).total / self.flops)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * min(1.0, left / _FALL)


@dataclass(frozen=True)
class Ended:
    """What became of a run.

    Args:
        parameters: that have grown.
        loss, accuracy: on the validation data, at the end.
        at_decision: validation loss when the decision was due.
        before: FLOPs spent by then.
        flops: in all.
    """

    parameters: int
    loss: float
    accuracy: float
    at_decision: float
    before: float
    flops: float
    steps: int


@contextlib.contextmanager
def assembled(state: State, overrides: list[str]) -> Iterator[tuple[Run, dict[str, Any], Path]]:
    """A run that has not begun, its config, and its folder, which is gone afterwards."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as name, quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = compose(overrides)
        config.paths.run_dir = name
        plain: Any = OmegaConf.to_container(config, resolve=True)
        run = assemble(plain)
        run.trainer.callbacks.append(Falling(state.flops))  # type: ignore[attr-defined]
        yield run, plain, Path(name)


def trained(state: State, site: str = "", blueprint: str = "") -> Ended:
    """A whole run, with a seed at ``site`` from the decision on, or with none.

    Raises:
        RuntimeError: the seed was not fossilized, so the run is too short.
    """
    overrides = state.grown(site, blueprint) if site else state.overrides()
    with assembled(state, overrides) as (run, _, folder):
        run.trainer.fit(run.module, run.data)
        with (folder / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        ledger = json.loads((folder / "ledger.json").read_text())
    if [seed["fate"] for seed in ledger["seeds"]] != ["kept"] * bool(site):
        raise RuntimeError(f"{blueprint} at {site}: {ledger['seeds']}; more FLOPs are needed")
    decision, last = rows[state.tick - 1], rows[-1]
    return Ended(
        parameters=int(last["parameters"]) - int(decision["parameters"]),
        loss=float(last["val/loss"]),
        accuracy=float(last["val/accuracy"]),
        at_decision=float(decision["val/loss"]),
        before=float(decision["train_flops"]),
        flops=ledger["flops"]["total"],
        steps=int(last["step"]),
    )
