"""Ends a trial of a search that falls behind the others."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from kasmina.callbacks.base import growing
from kasmina.search import trial


class TrialPruning(Callback):
    """Tells the study what each validation found, and stops the run where its pruner says so.

    A run whose folder has no ``trial.json`` is left alone. Rank 0 reports and asks; all ranks stop.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.validations = 0
        self.pruned = False
        self._trial: Any = None
        self._part = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the trial.

        Raises:
            ValueError: its study cannot be reached.
        """
        address = trial.read(self.folder) if trainer.is_global_zero else None
        self._trial = None if address is None else trial.running(address)
        self._part = _told(trainer, self._trial is not None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that was killed after it had been pruned goes no further."""
        if self.pruned and self._part:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the monitored metric; a run that is at its end anyway is not pruned."""
        if not self._part or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self.validations += 1
        value = float(trainer.callback_metrics[f"val/{growing(pl_module).task.monitor}"])
        bad = trainer.is_global_zero and self._is_bad(value)
        if _told(trainer, bad) and not _is_last(trainer):
            self.pruned = trainer.should_stop = True

    def _is_bad(self, value: float) -> bool:
        reported = self._trial.study.get_trials(deepcopy=False)[self._trial.number]
        if self.validations not in reported.intermediate_values:  # a resumed run says some again
            self._trial.report(value, self.validations)
        return bool(self._trial.should_prune())

    def state_dict(self) -> dict[str, Any]:
        """How much has been reported."""
        return {"validations": self.validations, "pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.validations, self.pruned = state_dict["validations"], state_dict["pruned"]


def _told(trainer: Trainer, fact: bool) -> bool:
    """What rank 0 knows."""
    if trainer.world_size == 1:
        return fact
    return bool(trainer.strategy.broadcast(fact))


def _is_last(trainer: Trainer) -> bool:
    """Whether no step follows."""
    loop = trainer.fit_loop
    most, steps = loop.max_epochs or -1, loop.max_steps
    ends = trainer.current_epoch + 1 >= most >= 0 and loop.epoch_loop.batch_progress.is_last_batch
    return ends or trainer.global_step >= steps >= 0
