"""What Lightning's checkpoints leave out of a run that is interrupted between two batches."""

import logging
from typing import Any

import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from kasmina.callbacks.base import growing
from kasmina.callbacks.rng import random_states, set_random_states
from kasmina.checkpoints import STAMP
from kasmina.data.base import DataModule
from kasmina.data.loader import ResumableLoader
from kasmina.lit import GrowingModule

log = logging.getLogger(__name__)

KEY = "ranks"


class Resume(Callback):
    """Keeps each rank's random states and its training loss since the last validation, and puts
    them back, with the loader at the batch that comes next.

    Between a validation and the next, ranks have summed losses of their own, and between two
    batches the random states are where the last step left them; neither is part of a
    ``state_dict``. A run that is resumed on another number of ranks, or with other batches, keeps
    the sum of the losses and the number of samples that the epoch has had, and draws afresh.
    """

    def __init__(self) -> None:
        self._mine: dict[str, Any] = {}
        self._before_validation: dict[str, Any] | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What a validation that is broken off begins with when it is taken up."""
        self._before_validation = random_states()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """It was not broken off."""
        self._before_validation = None

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Every rank says what it has; Lightning calls this on all of them."""
        random = self._before_validation or random_states()
        mine = {"random": random, "losses": loss_sums(growing(pl_module))}
        states = [mine]
        if dist.is_available() and dist.is_initialized():
            states = [{} for _ in range(dist.get_world_size())]
            dist.all_gather_object(states, mine)
        checkpoint[KEY] = states

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what is this rank's until training starts: what comes before may draw."""
        if trainer.state.fn != "fit":
            return
        saved = checkpoint.get(KEY, [])
        if len(saved) == trainer.world_size:
            self._mine = dict(saved[trainer.global_rank])
        elif saved and trainer.is_global_zero:
            self._mine = {"losses": _add([state["losses"] for state in saved])}
        self._compare(trainer, checkpoint)
        loop = checkpoint["loops"]["fit_loop"]
        if not loop["epoch_loop.batch_progress"]["is_last_batch"]:
            self._mine["loader"] = loop["state_dict"]["combined_loader"][0]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with it."""
        mine, self._mine = self._mine, {}
        loader = trainer.train_dataloader
        # Lightning has asked for the loader already, for the number of steps, and forgets its state
        if "loader" in mine and isinstance(loader, ResumableLoader):
            loader.load_state_dict(mine["loader"])
        if "losses" in mine:
            set_loss_sums(growing(pl_module), mine["losses"])
        if "random" in mine:
            set_random_states(mine["random"])

    def _compare(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """Say what is not as it was, and count the epoch's batches as they are now."""
        ranks = checkpoint.get(STAMP, {}).get("world_size", trainer.world_size)
        data = trainer.datamodule  # type: ignore[attr-defined]
        size = data.batch_size * trainer.world_size if isinstance(data, DataModule) else None
        loop = checkpoint["loops"]["fit_loop"]
        before = loop["state_dict"]["combined_loader"][0]["round"]
        told = []
        if ranks != trainer.world_size:
            told.append(f"{ranks} ranks and is resumed on {trainer.world_size}")
        if size and before and size != before:
            told.append(f"{before} samples a step and is resumed with {size}")
            recount(loop, size, trainer.accumulate_grad_batches)
        if told and trainer.is_global_zero:
            log.warning(
                "the run had %s: it goes on, but no longer bit for bit", ", and ".join(told)
            )


def recount(loop: dict[str, Any], size: int, window: int) -> None:
    """Rewrite a fit loop's state in batches of ``size`` samples over all ranks.

    What the epoch has had is rounded down to whole windows of ``window`` batches, so that it sees
    some samples twice rather than not at all.
    """
    progress, loader = loop["epoch_loop.batch_progress"], loop["state_dict"]["combined_loader"][0]
    if not progress["is_last_batch"]:
        done = loader["batches"] * loader["round"] // size
        done -= done % window
        open_ = progress["current"]["processed"] - progress["current"]["completed"]
        progress["current"].update(ready=done, started=done, processed=done, completed=done - open_)
        loader.update(batches=done, round=size)


def loss_sums(module: GrowingModule) -> dict[str, dict[str, torch.Tensor]]:
    """Sums and weights of the losses since the last validation; none of one without an update."""
    return {
        name: {key: _plain(value) for key, value in mean.metric_state.items()}
        for name, mean in module.losses.items()
        if mean.update_called
    }


def _plain(state: Any) -> torch.Tensor:
    value: torch.Tensor = state
    return value.detach().cpu().clone()


def set_loss_sums(module: GrowingModule, sums: dict[str, dict[str, torch.Tensor]]) -> None:
    """Go on summing from there."""
    for name, saved in sums.items():
        mean = module.losses[name]
        mean.update(torch.zeros((), device=mean.device), 0.0)  # a metric counts its updates
        for key, value in saved.items():
            setattr(mean, key, value.to(mean.device))


def _add(ranks: list[dict[str, dict[str, torch.Tensor]]]) -> dict[str, dict[str, torch.Tensor]]:
    total: dict[str, dict[str, torch.Tensor]] = {}
    for losses in ranks:
        for name, saved in losses.items():
            known = total.setdefault(name, {key: torch.zeros_like(v) for key, v in saved.items()})
            total[name] = {key: known[key] + value for key, value in saved.items()}
    return total
