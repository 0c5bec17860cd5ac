"""Checkpoints that stay with their run's folder, and from which a run goes on exactly."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kasmina import checkpoints
from kasmina.callbacks.base import Batch
from kasmina.callbacks.signals import Signals

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a folder that may have been moved before its run is resumed.

    Lightning keeps whole paths, and forgets the best score where they have changed: the next
    checkpoint would count as the best one, and overwrite it.

    Args:
        keep: files of the same name that stay: the newest, and those before it as ``<name>-1``...
        options: of ``lightning.pytorch.callbacks.ModelCheckpoint``.

    Raises:
        ValueError: less than one file to keep.
    """

    def __init__(self, *, keep: int = 1, **options: Any) -> None:
        if keep < 1:
            raise ValueError(f"keep is at least 1 file, not {keep}")
        super().__init__(**options)
        self.keep = keep

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """All checkpoints of the run are written and read through ``CheckpointFiles``."""
        super().setup(trainer, pl_module, stage)
        if not isinstance(trainer.strategy.checkpoint_io, checkpoints.CheckpointFiles):
            trainer.strategy.checkpoint_io = checkpoints.CheckpointFiles()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the scores, and look for the files in the folder of now."""
        moved = {key: self._here(state_dict[key]) for key in _PATHS}
        models = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        here = {"dirpath": self.dirpath, "best_k_models": models}
        super().load_state_dict({**state_dict, **moved, **here})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name) if path else ""

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        if trainer.is_global_zero:
            checkpoints.rotate(Path(filepath), self.keep)
        super()._save_checkpoint(trainer, filepath)


class LastCheckpoint(RunCheckpoint):
    """The checkpoint to go on from: after each validation, every ``every_n_steps`` optimizer steps,
    and before the run is stopped by SIGTERM or Ctrl-C.

    It is never written inside a window of gradient accumulation, whose gradients no file holds,
    and not between a batch and the validation that follows it, which Lightning would leave out.

    Args:
        dirpath: the folder.
        filename: of the newest, without ``.ckpt``.
        keep: files that stay: the newest, and those before it as ``<filename>-1``...
        every_n_steps: optimizer steps from save to save within an epoch; None: only at its end.

    Raises:
        ValueError: less than one step, or less than one file to keep.
    """

    def __init__(
        self,
        *,
        dirpath: str,
        filename: str = checkpoints.LAST,
        keep: int = 2,
        every_n_steps: int | None = None,
    ) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"every_n_steps is at least 1 step, not {every_n_steps}")
        super().__init__(
            keep=keep, dirpath=dirpath, filename=filename, enable_version_counter=False
        )
        self.every_n_steps = every_n_steps
        self._signals = Signals()
        self._unvalidated: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a signal waits until the run can be gone on with."""
        super().on_train_start(trainer, pl_module)
        self._last_global_step_saved = trainer.global_step  # a resumed run's file is there
        self._signals.install(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Between two optimizer steps of an epoch."""
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        assert fetcher is not None
        follows = loop.batch_progress.is_last_batch or loop._should_check_val_fx(fetcher)
        if not loop._should_accumulate() and not follows:
            self._save_and_obey(trainer, due=self._due(trainer))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what a validation that is broken off has to begin with again."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._last_global_step_saved = -1  # there will be more to save at this step
            # of one that was broken off, or the next file would say that this one is
            total: Any = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
            total.ready = total.started = total.processed = total.completed
            callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
            states = {each.state_key: state for each in callbacks if (state := each.state_dict())}
            loops = {"fit_loop": _about_to_validate(trainer.fit_loop.state_dict())}
            self._unvalidated = deepcopy({"callbacks": states, "loops": loops})

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """A validation is broken off, and begins anew when the run goes on."""
        if self._unvalidated is not None:
            self._save_and_obey(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After the validation, as Lightning does, and before a stop."""
        self._unvalidated = None
        super().on_validation_end(trainer, pl_module)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._save_and_obey(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """An epoch without a validation ends here."""
        super().on_train_epoch_end(trainer, pl_module)
        self._save_and_obey(trainer, due=self._due(trainer))

    def _due(self, trainer: Trainer) -> bool:
        return bool(self.every_n_steps) and trainer.global_step % (self.every_n_steps or 1) == 0

    def _save_and_obey(self, trainer: Trainer, *, due: bool = False) -> None:
        """Save where it is due or a signal asks for it; then do what the signal asks for."""
        asked = self._signals.look(trainer)
        if (due or asked) and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
        if asked:
            self._signals.obey()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """In the middle of a validation the file says that it has not begun."""
        if self._unvalidated is not None:
            checkpoint["callbacks"] |= self._unvalidated["callbacks"]
            checkpoint["loops"] |= self._unvalidated["loops"]


def _about_to_validate(loops: dict[str, Any]) -> dict[str, Any]:
    """The fit loop's state such that Lightning takes a validation up at its first batch."""
    total = loops["epoch_loop.val_loop.batch_progress"]["total"]
    done = total["completed"]
    total.update(ready=done + 1, started=done + 1, processed=done)
    return loops
