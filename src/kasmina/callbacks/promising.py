"""A probe within a run, for a timing: its data, and its line in the record."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Trainer

from kasmina.callbacks.drawn import augmented, data_of
from kasmina.control.promise import Ask, Promised
from kasmina.lit import GrowingModule
from kasmina.probe.dual import Dual
from kasmina.probe.promise import promises
from kasmina.rng import derive
from kasmina.rollback import EVERYWHERE
from kasmina.stage import Stage
from kasmina.surgery import Change

PROBE = "probe"
"""What the record calls a probe, and the ledger what it has cost."""


def hold_probe(
    trainer: Trainer, module: GrowingModule, ask: Ask, tick: int
) -> tuple[Promised, float]:
    """What the best candidate and the network promise, and the FLOPs; on one rank, others wait.

    Raises:
        ValueError: a network that no rank holds whole, data that is not kasmina's or not enough
            for two batches, or an optimizer whose norm is not known.
    """
    growth, recipe = module.growth, module.training_options.optimizer
    group = trainer.optimizers[0].param_groups[0]
    with _as_trained(module), trainer.precision_plugin.train_step_context():
        found = promises(
            module.model,
            _batches(trainer, module, ask.batches, tick),
            module.task.loss,
            blueprints=growth.blueprints,
            operator=growth.operator,
            run_seed=growth.run_seed,
            dual=Dual(optimizer=recipe.target),
            lr=float(group.get("initial_lr", group["lr"])),  # where the schedule begins
        )
    promised = Promised(
        tick=tick,
        site=found.site,
        blueprint=found.blueprint,
        seed=found.seed.value,
        seed_error=found.seed.error,
        own=found.own.value,
        own_error=found.own.error,
        ask=ask,
    )
    return promised, found.flops


@contextmanager
def _as_trained(module: GrowingModule) -> Iterator[None]:
    """Training mode, whatever the modes are now: validation may just have ended."""
    modes = {each: each.training for each in module.model.modules()}
    module.model.train()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


def _batches(trainer: Trainer, module: GrowingModule, most: int, tick: int) -> Iterator[Any]:
    """Training batches of one size, in an order of their own; the run's is left alone."""
    data = data_of(trainer, "timing")
    samples = data.dataset("train")
    size = min(data.batch_size, max(1, len(samples) // most))
    generator = torch.Generator().manual_seed(derive("timing", module.growth.run_seed, tick))
    order = torch.randperm(len(samples), generator=generator)
    for rows in torch.split(order[: size * most], size):
        yield augmented(module, data, samples[rows])


def promise_line(found: Promised) -> Change:
    """A probe as the record has it."""
    still = str(Stage.DORMANT)
    numbers = found.numbers()
    return Change(EVERYWHERE, PROBE, still, still, None, 0.0, 0, PROBE, str(found), numbers)
