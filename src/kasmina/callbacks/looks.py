"""Looks at seeds that a statistical gate is to judge."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from kasmina.callbacks.base import GrowthCallback, growing, of_type, the
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.lifecycle import Lifecycle
from kasmina.callbacks.paired import compare, sample_scores
from kasmina.control.evidence import Evidence
from kasmina.control.statistical import Statistical
from kasmina.data.base import DataModule, Part
from kasmina.data.order import EpochBatches
from kasmina.graft import call
from kasmina.lit import GrowingModule
from kasmina.rng import derive, undisturbed
from kasmina.slot import SeedSlot
from kasmina.stage import Stage

log = logging.getLogger(__name__)


class GateLooks(GrowthCallback):
    """Where the controller's pace is ``Statistical``: when a seed is due for a test, the network as
    it is and the network that differs from it in this seed answer the gate split (the validation
    split where none is held out), and what comes of it waits for the controller.

    It counts the seeds that were tested and the looks at each, since each look spends some of the
    error that a run may make; a rollback gives none of it back.
    """

    def __init__(self) -> None:
        self.looks: dict[str, dict[str, int]] = {}
        """By seed, in order of their first look, and by stage."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a metric that cannot be tested before anything is trained.

        Raises:
            ValueError: a statistical gate on a metric that is no mean over samples.
        """
        if _pace(trainer) is not None:
            sample_scores(growing(pl_module).task)
            if not trainer.datamodule.gate_size and trainer.is_global_zero:  # type: ignore[attr-defined]
                log.warning(
                    "data.gate_size is 0: seeds are tested on the validation split, which picks "
                    "the best checkpoint and is reported"
                )

    def on_decide(self, trainer: Trainer, module: GrowingModule, tick: int) -> None:
        """Test every seed whose gate is open at this tick."""
        module.evidence = {}
        pace = _pace(trainer)
        if pace is not None:
            slots = [slot for slot in module.model if pace.asks(slot.stage, slot.age)]
            if slots:
                module.evidence = self._look(trainer, module, slots, pace)

    def _look(
        self, trainer: Trainer, module: GrowingModule, slots: list[SeedSlot], pace: Statistical
    ) -> dict[str, Evidence]:
        score, binary = sample_scores(module.task)
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        split: Part = "gate" if data.gate_size else "val"
        others = {s.site.name: 1.0 if s.stage is Stage.TRAINING else 0.0 for s in slots}
        here, *there = answers(trainer, module, data, split=split, others=others, score=score)
        found = {}
        for slot, changed in zip(slots, there, strict=True):
            pair = (changed, here) if slot.stage is Stage.TRAINING else (here, changed)
            number, look = self._count(slot)
            outcome = compare(
                *pair,
                binary=binary,
                confidence=pace.confidence,
                resamples=pace.resamples,
                seed=derive("looks", number, slot.stage, look),
            )
            found[slot.site.name] = Evidence(**vars(outcome), split=split, seed=number, look=look)
        return found

    def _count(self, slot: SeedSlot) -> tuple[int, int]:
        """Which tested seed of the run this is, and which look at it in its stage."""
        looks = self.looks.setdefault(f"{slot.site.name} {slot.births}", {})
        looks[str(slot.stage)] = looks.get(str(slot.stage), 0) + 1
        number = list(self.looks).index(f"{slot.site.name} {slot.births}") + 1
        return number, looks[str(slot.stage)]

    def state_dict(self) -> dict[str, Any]:
        """What was spent."""
        return {"looks": {seed: dict(stages) for seed, stages in self.looks.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on spending."""
        self.looks = {seed: dict(stages) for seed, stages in state_dict["looks"].items()}


def _pace(trainer: Trainer) -> Statistical | None:
    """The pace of the run's controller, None where it tests nothing."""
    lifecycle = next(of_type(trainer, Lifecycle), None)
    pace = getattr(getattr(lifecycle, "controller", None), "pace", None)
    return pace if isinstance(pace, Statistical) else None


def answers(
    trainer: Trainer,
    module: GrowingModule,
    data: DataModule,
    *,
    split: Part,
    others: Mapping[str, float],
    score: Callable[[Any, Tensor], Tensor],
) -> Tensor:
    """Scores of the network and of each that differs from it in one alpha, and their price.

    Every rank answers its share and gets all answers, in the order of the dataset.

    Args:
        split: of ``data``.
        others: alpha by site.
        score: maps (outputs, targets) to a score a sample.

    Shape:
        (1 + number of others, N) float32.
    """
    loader = data.in_order(split)
    order = loader.sampler
    assert isinstance(order, EpochBatches)
    found = torch.zeros(1 + len(others), order.size, device=module.device)
    ledger = the(trainer, Ledger)
    with _still(module), trainer.precision_plugin.val_step_context():
        for number, loaded in enumerate(loader):
            raw = trainer.precision_plugin.convert_input(loaded)
            batch = trainer.strategy.batch_to_device(raw)
            inputs, targets = module.lay_out(batch)
            ledger.evaluated(trainer, module, batch, others)
            places = torch.tensor(order.places(number), dtype=torch.long, device=module.device)
            networks = [{}, *({site: alpha} for site, alpha in others.items())]
            for row, alphas in enumerate(networks):
                outputs = call(module.model, inputs, alphas=alphas)
                found[row, places] = score(outputs, targets)[: len(places)]
    reduced: Tensor = trainer.strategy.reduce(found, reduce_op="sum")  # zeros but for the shares
    return reduced


@contextmanager
def _still(module: GrowingModule) -> Iterator[None]:
    """Evaluation that leaves modes, buffers and random state as they were."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), undisturbed(module.device):
            yield
    finally:
        for each, training in modes.items():
            each.training = training
