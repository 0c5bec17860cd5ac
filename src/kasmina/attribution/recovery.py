"""Ablate, let a copy of the network recover for some steps, then compare.

The control is a copy with the seed that trains for as many steps on the same batches. Both copies
train as the run did, with its optimizer anew and its learning rate curve run through within these
steps, so that the score is not one of a network in full flight; data order and random draws are
functions of the run's seed.
"""

from collections.abc import Sequence

from kasmina.attribution.base import Record, Say, Subject, compare, make_trainer
from kasmina.attribution.removal import remove
from kasmina.callbacks.rng import StepSeed
from kasmina.lit import GrowingModule
from kasmina.recipe import build
from kasmina.rng import derive
from kasmina.slot import SeedSlot

NAME = "recovery"


def recovery(
    subject: Subject, slots: Sequence[SeedSlot], say: Say, *, steps: int = 30
) -> list[Record]:
    """A record a seed, of two copies of the network after ``steps`` optimizer steps each.

    All copies train before the first is scored.

    Raises:
        ValueError: no step.
    """
    if steps < 1:
        raise ValueError(f"a recovery takes at least 1 step, not {steps}")
    total = len(slots) + 1
    control = trained(subject, [], steps=steps)
    say(1, total)
    without = []
    for slot in slots:
        without.append(trained(subject, [slot.site.name], steps=steps))
        say(len(without) + 1, total)
    reference = subject.like(control).scores()
    return [
        compare(
            subject,
            [slot],
            reference - subject.like(copy).scores(),
            method=f"{NAME}({steps})",
            flops=price(subject, steps),
        )
        for slot, copy in zip(slots, without, strict=True)
    ]


def trained(subject: Subject, sites: Sequence[str], *, steps: int) -> GrowingModule:
    """A copy of the network without the seeds at ``sites``, ``steps`` optimizer steps further."""
    module = subject.copy()
    for site in sites:
        remove(module, site)
    # an order of its own: the first steps of the run would otherwise be its last ones as well
    seed = derive(NAME, subject.config["data"]["seed"])
    data = build({**subject.config["data"], "seed": seed})
    trainer = make_trainer(
        subject.config,
        max_steps=steps,
        max_epochs=-1,
        max_time=None,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=[StepSeed(seed=subject.config["seed"])],
    )
    trainer.fit(module.train(), data)
    module.trainer = None  # it holds the data, and cannot be copied
    return module.eval().to("cpu")


def price(subject: Subject, steps: int) -> float:
    """FLOPs of two recoveries and two evaluations."""
    cost, trainer = subject.price, subject.config["trainer"]
    seen = steps * trainer["accumulate_grad_batches"] * subject.data.batch_size
    value: float = 2 * (seen * cost.main + subject.samples * cost.evaluation)
    return value
