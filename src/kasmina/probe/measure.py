"""What is measured in one forward and one backward a batch: gradients of newborns, and of the
network's own parameters where they are asked for."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kasmina.flops import countable, counter, few
from kasmina.graft import Grafted
from kasmina.probe.candidate import Candidate
from kasmina.probe.capture import LossOf, capture, plain
from kasmina.probe.evidence import Reads
from kasmina.recipe import Recipe
from kasmina.rng import derive, undisturbed
from kasmina.stage import Stage


@dataclass
class Measured:
    """What was seen of a network.

    Args:
        candidates: every blueprint in every dormant slot that it fits.
        own: mean gradients of the network's trainable parameters over all batches, by name;
            empty where they are not asked for.
        flops, samples: what was spent on how many.
    """

    candidates: list[Candidate]
    own: dict[str, Tensor] = field(default_factory=dict)
    flops: float = 0.0
    samples: int = 0


def measure(
    model: Grafted,
    batches: Iterable[tuple[Any, Tensor]],
    loss_of: LossOf,
    *,
    blueprints: Mapping[str, Recipe],
    operator: Recipe,
    run_seed: int,
    reads: Reads,
    micro_batches: int,
    own: bool = False,
) -> Measured:
    """Let every candidate see every batch; see ``kasmina.probe.probe``.

    Args:
        own: take the gradients of the network's own parameters in the same backward.
    """
    if micro_batches < 1:
        raise ValueError(f"micro_batches is at least 1, not {micro_batches}")
    if model.twin is not None:
        raise ValueError("a probe needs the whole network on one rank: not with trainer=fsdp2")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.inference_mode(False), torch.enable_grad(), undisturbed(device), eager(model):
        reseed(device, derive("probe", run_seed))
        candidates = [
            Candidate(
                model,
                slot,
                blueprint=blueprint,
                name=name,
                operator=operator,
                run_seed=run_seed,
                curved=reads == "curvature",
            )
            for slot in model.at(Stage.DORMANT)
            for name, blueprint in blueprints.items()
            if slot.site.kind in blueprint.locate().kinds
        ]
        weights = trainable(model) if own else {}
        seen = Measured(candidates, {name: torch.zeros_like(w) for name, w in weights.items()})
        if candidates and reads != "nothing":
            _measure(model, seen, batches, loss_of, micro_batches)
    return seen


def trainable(model: Grafted) -> dict[str, Tensor]:
    """What the network trains by itself, its seeds included, by name."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def eager(model: Grafted) -> AbstractContextManager[Any]:
    """A compiled graph knows nothing of the taps; only a model that is compiled needs this."""
    if model.compile_seed is None:
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def reseed(device: torch.device, seed: int) -> None:
    """Start the generators of the CPU and of ``device``; only where they are put back."""
    # torch.manual_seed would set the generators of all accelerators, of which one is put back
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _measure(
    model: Grafted,
    seen: Measured,
    batches: Iterable[tuple[Any, Tensor]],
    loss_of: LossOf,
    micro_batches: int,
) -> None:
    a_sample = None
    for batch in batches:
        inputs, targets = plain(batch[0]), plain(batch[1])
        if a_sample is None:
            a_sample = _flops_a_sample(model, seen, inputs, targets, loss_of)
        own = _pass(model, seen.candidates, inputs, targets, loss_of, micro_batches, bool(seen.own))
        for total, one in zip(seen.own.values(), own, strict=True):
            total += one * len(targets)
        seen.samples += len(targets)
    if a_sample is None:
        raise ValueError("a probe needs at least one batch, and none came")
    if len(seen.candidates[0].sizes) < 2:
        raise ValueError(
            "the error of a score is taken over at least 2 micro-batches, and 1 came; more "
            "samples, batches or micro_batches make more"
        )
    for total in seen.own.values():
        total /= seen.samples
    seen.flops = a_sample * seen.samples


def _pass(
    model: Grafted,
    candidates: Sequence[Candidate],
    inputs: Any,
    targets: Tensor,
    loss_of: LossOf,
    micro_batches: int,
    own: bool,
) -> list[Tensor]:
    weights = [p for p in model.parameters() if p.requires_grad] if own else []
    slots = model.at(Stage.DORMANT)
    passing, gradients = capture(model, slots, inputs, targets, loss_of, weights=weights)
    for candidate in candidates:
        candidate.see(*passing[candidate.site.name], micro_batches)
    return gradients


def _flops_a_sample(
    model: Grafted, seen: Measured, inputs: Any, targets: Tensor, loss_of: LossOf
) -> float:
    """Counted on copies with few samples; solving for eigenvalues and the like is left out."""
    twin, newborns = copy.deepcopy((model, seen.candidates))
    for module in (twin, *(each.seed for each in newborns)):
        countable(module)
    asked = few(targets)
    with undisturbed(asked.device), counter() as counted:
        _pass(twin, newborns, few(inputs), asked, loss_of, 1, bool(seen.own))
    flops: float = counted.get_total_flops() / len(asked)
    return flops
