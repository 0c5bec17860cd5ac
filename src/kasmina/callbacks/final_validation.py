"""A run that is limited in steps is validated at its end, wherever in an epoch that is."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from kasmina.callbacks.base import Batch


class FinalValidation(Callback):
    """Validate after the step at which ``trainer.max_steps`` ends a run.

    Lightning leaves the validation of an epoch out that it does not finish: the last steps would be
    trained and never measured.
    """

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """To Lightning a run that should stop is one that validates first."""
        if 0 <= trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True
