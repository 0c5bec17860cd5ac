"""A run ends, with a validation, when its optimizer steps or its FLOPs are spent."""

import math
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.callbacks.base import Batch, GrowthCallback, growing, the
from kasmina.callbacks.ledger import Ledger
from kasmina.lit import GrowingModule

ORDINARY = ("host", "seeds", "incubation", "evaluation")
"""Parts of the bill that every tick has."""
_KEPT = ("validation", "ordinary")


class Budget(GrowthCallback):
    """Stops at the step by which ``trainer.max_steps`` are done or the ledger reaches ``flops``.

    Either is validated, wherever in an epoch it is: Lightning leaves the validation of an epoch out
    that it does not finish, and the last steps would be trained and never measured. That validation
    is part of the FLOPs. What it will cost is taken from the dearest one so far, so the sum may be
    missed by the cost of one step, and of what a validation has become dearer.

    The share of the FLOPs that is spent is the learning rate's clock, where it is ahead of the
    steps'; the last tick is foreseen from what the latest has cost.

    Args:
        flops: of the whole training; None: no limit.

    Raises:
        ValueError: a sum that pays for nothing.
    """

    def __init__(self, *, flops: float | None = None) -> None:
        if flops is not None and not flops > 0:
            raise ValueError(f"flops are a number above 0, not {flops}")
        self.flops = math.inf if flops is None else flops
        self.validation = 0.0
        self.ordinary = 0.0
        self._before = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The learning rate is to follow the budget, if there is one."""
        if stage == "fit" and self.flops < math.inf:
            growing(pl_module).spent = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A resumed run has spent something."""
        self._tell(trainer, pl_module)

    def on_tick(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """From here on the next tick is paid for."""
        self.ordinary = self._ordinary(trainer)

    def last_tick(self, trainer: Trainer, tick: int) -> int | None:
        """Where the FLOPs are spent if all ticks cost what this one did; None without a limit.

        A race is no part of what a tick costs: it is seldom.
        """
        cost = self._ordinary(trainer) - self.ordinary
        if self.flops == math.inf or cost <= 0:
            return None
        return tick + int(max(self.flops - the(trainer, Ledger).total, 0.0) // cost)

    def _ordinary(self, trainer: Trainer) -> float:
        return sum(the(trainer, Ledger).flops[part] for part in ORDINARY)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the bill before a validation."""
        self._before = the(trainer, Ledger).flops["evaluation"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What it has cost."""
        if trainer.state.fn == "fit":  # without what is decided at its end, as a race
            cost = the(trainer, Ledger).flops["evaluation"] - self._before
            self.validation = max(self.validation, cost)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """To Lightning a run that should stop is one that validates first."""
        self._tell(trainer, pl_module)
        done = 0 <= trainer.max_steps <= trainer.global_step
        if done or the(trainer, Ledger).total + self.validation >= self.flops:
            trainer.should_stop = True

    def _tell(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.flops < math.inf:
            growing(pl_module).spent = min(1.0, the(trainer, Ledger).total / self.flops)

    def state_dict(self) -> dict[str, Any]:
        """What the dearest validation has cost, and the bill at the last tick, in FLOPs."""
        return {name: getattr(self, name) for name in _KEPT}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.__dict__.update({name: float(state_dict[name]) for name in _KEPT})
