"""A run ends, with a validation, when its optimizer steps or its FLOPs are spent."""

import math
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.callbacks.base import Batch, GrowthCallback, the
from kasmina.callbacks.ledger import Ledger


class Budget(GrowthCallback):
    """Stops at the step by which ``trainer.max_steps`` are done or the ledger reaches ``flops``.

    Either is validated, wherever in an epoch it is: Lightning leaves the validation of an epoch out
    that it does not finish, and the last steps would be trained and never measured. That validation
    is part of the FLOPs. What it will cost is taken from the dearest one so far, so the sum may be
    missed by the cost of one step, and of what a validation has become dearer.

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
        self._before = 0.0

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
        done = 0 <= trainer.max_steps <= trainer.global_step
        if done or the(trainer, Ledger).total + self.validation >= self.flops:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """What the dearest validation has cost, in FLOPs."""
        return {"validation": self.validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.validation = float(state_dict["validation"])
