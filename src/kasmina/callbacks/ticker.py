"""Says when a tick is."""

import math
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.callbacks.base import Batch, GrowthCallback, growing, of_type
from kasmina.callbacks.budget import Budget
from kasmina.lit import GrowingModule
from kasmina.stage import Event
from kasmina.strategies import check_ranks, commit_topology
from kasmina.surgery import Change


class Ticker(GrowthCallback):
    """A tick a validation (so usually one an epoch), or every ``every_n_steps`` optimizer steps.

    Decisions are taken at the end of a validation and applied at the start of the next batch, so
    that a checkpoint written in between holds the network that was scored. A tick never falls
    inside a window of gradient accumulation.

    Args:
        every_n_steps: optimizer steps from tick to tick; None for one tick a validation.

    Raises:
        ValueError: less than one step.
    """

    def __init__(self, *, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"a tick takes at least 1 step, not {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.tick = 0
        self.due = False
        self.last_step = 0
        self.reshaped = False

    def ticks(self, trainer: Trainer) -> int | None:
        """The last tick that is foreseen to take place, None where the run's length is not known.

        By steps it is certain; by a limit on FLOPs it is an estimate, made anew at each tick.
        """
        known = [self._by_steps(trainer)]
        known += [budget.last_tick(trainer, self.tick) for budget in of_type(trainer, Budget)]
        return min((last for last in known if last is not None), default=None)

    def _by_steps(self, trainer: Trainer) -> int | None:
        steps = trainer.estimated_stepping_batches
        if steps == math.inf:
            return None
        done = int(steps) - 1  # a tick needs a step after it
        return done // self.every_n_steps if self.every_n_steps else _validations(trainer, done)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The end of a validation makes its tick due."""
        if self.every_n_steps is None and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._decide(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Between two optimizer steps a tick that is due takes place."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        step = trainer.global_step
        if self.every_n_steps and step >= self.last_step + self.every_n_steps:
            self.last_step = step
            self._decide(trainer, pl_module)
        if self.due:
            self.due = False
            for callback in of_type(trainer, GrowthCallback):
                callback.on_tick(trainer, growing(pl_module), self.tick)
            reshaped, self.reshaped = self.reshaped, False
            # at every tick: a rank that alone has changed nothing would never come to compare
            (commit_topology if reshaped else check_ranks)(trainer)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """Note that parameters came, went, or began to ask for a gradient."""
        self.reshaped |= change.event in {Event.GERMINATE, Event.TRAIN, Event.PRUNE}

    def _decide(self, trainer: Trainer, module: LightningModule) -> None:
        self.tick += 1
        self.due = True
        for callback in of_type(trainer, GrowthCallback):
            callback.on_decide(trainer, growing(module), self.tick)

    def state_dict(self) -> dict[str, Any]:
        """Where the clock stands."""
        return {"tick": self.tick, "due": self.due, "last_step": self.last_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.__dict__.update(state_dict)


def _validations(trainer: Trainer, steps: int) -> int | None:
    """How many validations lie within the first ``steps`` optimizer steps of a run."""
    batches, interval = int(trainer.num_training_batches), trainer.val_check_batch
    if interval is None:  # by the clock
        return None
    window, every = trainer.accumulate_grad_batches, trainer.check_val_every_n_epoch
    epochs, rest = divmod(steps, math.ceil(batches / window))
    if every is None:
        return int((epochs * batches + rest * window) // interval)
    interval = min(interval, batches)
    opened = rest * window // interval if (epochs + 1) % every == 0 else 0
    return int(epochs // every * (batches // interval) + opened)
