"""Which seeds can go: triage by the first-order effect of alpha, then ablate, recover and test.

The effect of a seed is estimated as Taylor pruning does (Molchanov et al. 2017,
https://arxiv.org/abs/1611.06440): taking alpha to 0 changes the loss by about -alpha dL/dalpha.
One backward says it of all seeds. It orders them, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kasmina import topology
from kasmina.attribution.base import Record, Say, Subject, compare
from kasmina.attribution.recovery import price, trained
from kasmina.graft import call
from kasmina.lit import GrowingModule
from kasmina.slot import SeedSlot

NAME = "pruning"
_BATCHES = 4  # of training data, for the effects


@dataclass(frozen=True)
class Verdict:
    """What became of a candidate.

    Args:
        effect: |alpha dL/dalpha|, in units of the loss.
        record: the network that still had it minus the one that has recovered without it.
        removable: the record's interval lies below the margin.
    """

    site: str
    blueprint: str
    effect: float
    record: Record
    removable: bool


def effects(subject: Subject) -> dict[str, float]:
    """|alpha dL/dalpha| of every grown seed on training batches, in one backward."""
    module, slots = subject.copy().eval(), subject.grown()
    alphas = {}
    for slot in slots:
        own = module.model.slot(slot.site.name)
        alphas[slot.site.name] = own.alpha = own.alpha.clone().requires_grad_()
        own.route = "blend"  # a fossilized seed's shortcut leaves alpha out
    batches = _training_batches(subject)
    loss = torch.zeros(())
    with torch.enable_grad():
        for indices in batches:
            batch = subject.data.normalise(subject.data.dataset("train")[indices])
            inputs, targets = module.lay_out(batch)
            loss = loss + module.task.loss(call(module.model, inputs), targets) / len(batches)
        slopes = torch.autograd.grad(loss, list(alphas.values()))
    pairs = zip(alphas.items(), slopes, strict=True)
    return {site: abs(float(alpha.detach() * slope)) for (site, alpha), slope in pairs}


def triage(
    subject: Subject, say: Say, *, steps: int = 30, margin: float = 0.01, site: str | None = None
) -> tuple[GrowingModule, list[Verdict]]:
    """Try to take out one seed after the other, the one of the least effect first.

    A seed is removable when the upper end of the 95 % interval of what is lost without it, paired
    over samples, lies below ``margin``, against the network as it came and against that network
    after as many steps of training. What is removed stays removed while the next is tried, so that
    the network that is returned is one that has been tested.

    Args:
        steps: of recovery after each removal.
        margin: what may be lost, units of the metric.
        site: of the only candidate; None: all grown seeds.

    Returns:
        The network without its removable seeds, and a verdict a candidate.

    Raises:
        ValueError: a split other than validation, or no positive margin.
    """
    if subject.split != "validation":
        raise ValueError("pruning decides, so it sees validation data alone")
    if not margin > 0:
        raise ValueError(f"a margin is more than 0, not {margin}: no test shows a loss of nothing")
    slots = {slot.site.name: slot for slot in subject.chosen(site)}
    found = {name: effect for name, effect in effects(subject).items() if name in slots}
    came = subject.scores()
    current, control, verdicts = subject, subject, list[Verdict]()
    for name in sorted(found, key=lambda each: found[each]):
        tried = current.like(trained(current, [name], steps=steps))
        trained_on = control.like(trained(control, [], steps=steps))
        verdicts.append(
            _verdict(
                subject,
                slots[name],
                tried,
                (came, trained_on.scores()),
                margin=margin,
                steps=steps,
                effect=found[name],
            )
        )
        if verdicts[-1].removable:
            current, control = tried, trained_on
        say(len(verdicts), len(found))
    return current.module, verdicts


def _verdict(
    subject: Subject,
    slot: SeedSlot,
    tried: Subject,
    references: tuple[Tensor, Tensor],
    *,
    margin: float,
    steps: int,
    effect: float,
) -> Verdict:
    scores = tried.scores()
    cost = price(subject, steps)
    records = [
        compare(subject, [slot], reference - scores, method=NAME, flops=cost)
        for reference in references
    ]
    worst = max(records, key=lambda record: record.high)
    return Verdict(worst.site, worst.blueprint, effect, worst, worst.high < margin)


def pruned_checkpoint(saved: Mapping[str, Any], module: GrowingModule) -> dict[str, Any]:
    """The content of a checkpoint of ``module``, for evaluation; no run goes on from it.

    Args:
        saved: the content from which the network was rebuilt.
        module: that network without some of its seeds.
    """
    kept = {key: saved[key] for key in ("hyper_parameters", "pytorch-lightning_version", "kasmina")}
    return {
        **kept,
        "state_dict": module.state_dict(),
        "topology": topology.topology(module.model),
        "measured": {"contributions": dict(module.contributions), "seed_losses": {}},
        "global_step": saved["global_step"],
        "epoch": saved["epoch"],
    }


def _training_batches(subject: Subject) -> list[Tensor]:
    subject.data.prepare_data()
    subject.data.setup("fit")
    size = subject.data.batch_size
    generator = torch.Generator().manual_seed(subject.config["seed"])
    order = torch.randperm(len(subject.data.dataset("train")), generator=generator)
    return list(torch.split(order[: _BATCHES * size], size))
