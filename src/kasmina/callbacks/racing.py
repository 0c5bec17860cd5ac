"""A race within a run: its data, its optimizer, its shortlist, its line in the record."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from lightning import Trainer
from torch import Tensor
from torch.optim import Optimizer

from kasmina.callbacks.drawn import augmented, data_of, ready
from kasmina.control.entry import Candidate, Dear, Entry, Wanted
from kasmina.control.race import account, leader
from kasmina.data.order import EpochBatches
from kasmina.graft import Grafted
from kasmina.lit import GrowingModule
from kasmina.optim import group_names, make_optimizer
from kasmina.probe import probe
from kasmina.race import Outcome, Terms, race
from kasmina.race.terms import Batch
from kasmina.rng import derive
from kasmina.rollback import EVERYWHERE
from kasmina.stage import Stage
from kasmina.surgery import Change

RACE = "race"
"""What the record calls a race, and the ledger what it has cost."""
_PROBED = 4  # batches


def hold_race(trainer: Trainer, module: GrowingModule, wanted: Wanted, tick: int) -> Outcome:
    """Race the wanted candidates, those of the shortlist; on one rank, the others wait.

    Raises:
        ValueError: a network that no rank holds whole, or data that is not kasmina's.
    """
    if module.model.twin is not None:
        raise ValueError("a race needs the whole network on one rank: not with trainer=fsdp2")
    data = _Data(trainer, module, wanted.rules.held_out, tick)
    growth = module.growth
    candidates, elsewhere, probed = _shortlist(module, wanted, data)
    terms = Terms(
        blueprints=growth.blueprints,
        operator=growth.operator,
        run_seed=growth.run_seed,
        tick=tick,
        batch=data.training,
        held_out=data.held_out(),
        loss=module.task.loss,
        judged=module.task.reported,
        optimizer=lambda weights: module.training_options.optimizer.build(
            [{"params": weights, **growth.seeds.own()}]
        ),
        continued=lambda model: _continued(trainer, module, model),
        context=trainer.precision_plugin.forward_context,
    )
    most = wanted.most - probed
    outcome = race(
        module.model,
        candidates,
        rules=wanted.rules,
        terms=terms,
        elsewhere=(*elsewhere, *wanted.resting),
        room=wanted.room,
        most=most,
    )
    return replace(outcome, flops=outcome.flops + probed)


def _shortlist(
    module: GrowingModule, wanted: Wanted, data: "_Data"
) -> tuple[Sequence[Candidate], Sequence[Candidate], float]:
    """Those of the slots with the best score, the best first, those of the other slots, and what
    the probe has cost."""
    sites = {candidate.site for candidate in wanted.candidates}
    most = wanted.rules.shortlist
    if most is None or len(sites) == 1:
        return wanted.candidates, (), 0.0
    growth = module.growth
    found = probe(
        module.model,
        (data.training(step) for step in range(_PROBED)),
        module.task.loss,
        blueprints=growth.blueprints,
        operator=growth.operator,
        run_seed=growth.run_seed,
        criterion=wanted.rules.criterion,  # type: ignore[arg-type]
    )
    ranked = [site for site in found.pooled if site in sites]
    best, rest = (
        [each for site in those for each in wanted.candidates if each.site == site]
        for those in (ranked[:most], ranked[most:])
    )
    return best, rest, found.flops


def _continued(trainer: Trainer, module: GrowingModule, model: Grafted) -> Optimizer:
    """The run's optimizer, for a copy of its network."""
    own = trainer.optimizers[0]
    recipe, seeds = module.training_options.optimizer, module.growth.seeds
    copied = make_optimizer(model, recipe, seeds, group_names(own))
    copied.load_state_dict(copy.deepcopy(own.state_dict()))  # it would share the moments
    return copied


def dear_line(dear: Dear) -> Change:
    """A race that was not held, as the record has it."""
    still, numbers = str(Stage.DORMANT), {"expected": dear.expected, "most": dear.most}
    return Change(EVERYWHERE, RACE, still, still, None, 0.0, 0, RACE, str(dear), numbers)


def line(raced: tuple[Entry, ...]) -> Change:
    """A race as the record has it: its outcome, and the utility of every candidate."""
    numbers = {str(entry): entry.utility for entry in raced}
    still = str(Stage.DORMANT)
    numbers = {**leader(raced).numbers(), "candidates": float(len(raced)), **numbers}
    return Change(EVERYWHERE, RACE, still, still, None, 0.0, 0, RACE, account(raced), numbers)


class _Data:
    """Batches of a race: an order of the training split of its own, its last samples held out."""

    def __init__(self, trainer: Trainer, module: GrowingModule, held_out: int, tick: int) -> None:
        data = data_of(trainer, "a race")
        self.data, self.module = data, module
        self.apart = data.dataset("race") if getattr(data, "race_size", 0) else None
        samples = data.dataset("train")
        generator = torch.Generator().manual_seed(derive("race", module.growth.run_seed, tick))
        order = torch.randperm(len(samples), generator=generator)
        held = 0 if self.apart is not None else min(held_out, len(samples) // 2)
        self.kept, self.trained = order[len(order) - held :], order[: len(order) - held]
        seed = derive("race", module.growth.run_seed, tick, "order")
        self.order = EpochBatches(
            len(self.trained),
            data.batch_size,
            seed=seed,
            drop_last=len(self.trained) >= data.batch_size,
            rank=0,
            world_size=1,
        )
        self._epoch: tuple[int, Sequence[Tensor]] = (-1, ())

    def training(self, step: int) -> Batch:
        """The batch of a step, as the training step would have it."""
        epoch, number = divmod(step, len(self.order))
        if self._epoch[0] != epoch:
            self.order.set_epoch(epoch)
            self._epoch = epoch, list(self.order)
        rows = self._epoch[1][number]
        return augmented(self.module, self.data, self.data.dataset("train")[self.trained[rows]])

    def held_out(self) -> list[Batch]:
        """What judges: the samples kept apart for races, or those that this race does not use."""
        if self.apart is not None:
            samples, rows = self.apart, torch.arange(len(self.apart))
        else:
            samples, rows = self.data.dataset("train"), self.kept
        chunks = torch.split(rows, self.data.batch_size)
        return [ready(self.module, self.data, samples[chunk]) for chunk in chunks]
