"""What one step costs in floating point operations, counted by torch's own counter.

A multiplication with an addition counts as two; element-wise work is not counted, as in
``torch.utils.flop_counter``. The count runs on a copy, so nothing of the run is touched.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from kasmina.attention import SelfAttention
from kasmina.graft import Grafted, call
from kasmina.incubation import Incubation
from kasmina.rng import undisturbed
from kasmina.stage import Stage

Net = TypeVar("Net", bound=nn.Module)

_aten = torch.ops.aten
_MISSING = {  # the counter knows flash attention on CUDA alone
    _aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_args, **_kwargs: (
        sdpa_flop_count(q, k, v)  # type: ignore[no-untyped-call]
    ),
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda grad, q, k, v, *_a, **_k: (
        sdpa_backward_flop_count(grad, q, k, v)  # type: ignore[no-untyped-call]
    ),
}
_SAMPLES = 2  # enough for batch statistics, too few to cost anything


@dataclass(frozen=True)
class StepCost:
    """FLOPs a sample.

    Args:
        main: forward and backward of host and blended seeds.
        incubation: what the seeds in training add, averaged over steps.
        evaluation: one forward.
        looks: one forward of the network that differs in one seed whose fate is open, by site.
        seeds: the part of ``main`` spent inside each seed that takes part in it, by site.
    """

    main: float
    incubation: float
    evaluation: float
    seeds: dict[str, float] = field(default_factory=dict)
    looks: dict[str, float] = field(default_factory=dict)


def step_cost(
    model: Grafted,
    incubation: Incubation,
    inputs: Any,
    loss_of: Callable[[Any], Tensor],
) -> StepCost:
    """Count one training step and one evaluation of ``model``.

    Args:
        inputs: a batch of inputs as the model takes it; what ``few`` leaves of it is enough.
        loss_of: the task loss of what the model returns for these inputs.
    """
    twin = model.twin() if model.twin is not None else copy.deepcopy(model)
    twin = countable(twin).train()
    device = next((p.device for p in twin.parameters()), torch.device("cpu"))
    with undisturbed(device), torch.enable_grad():
        whole, _ = _count(twin, lambda: _total(twin, incubation, inputs, loss_of))
        for slot in twin.at(Stage.TRAINING):
            slot.route = "host"
        main, seeds = _count(twin, lambda: loss_of(call(twin, inputs)))
        with torch.no_grad():
            twin.eval()
            forward, _ = _count(twin, lambda: call(twin, inputs), backward=False)
            open_ = twin.at(Stage.TRAINING, Stage.BLENDING, Stage.HOLDING)
            looks = {s.site.name: _look(twin, inputs, s.site.name) for s in open_}
    samples = _num_samples(inputs)
    return StepCost(
        main=main / samples,
        incubation=(whole - main) / incubation.interval / samples,
        evaluation=forward / samples,
        seeds={site: inside / samples for site, inside in seeds.items()},
        looks={site: forward / samples for site, forward in looks.items()},
    )


def countable(model: Net) -> Net:
    """FlexAttention cannot be counted; the other backends compute the same."""
    for module in model.modules():
        if isinstance(module, SelfAttention) and module.backend == "flex":
            module.backend = "auto"
    return model


def _look(model: Grafted, inputs: Any, site: str) -> float:
    cost, _ = _count(model, lambda: call(model, inputs, alphas={site: 1.0}), backward=False)
    return cost  # at alpha 0 the seed is computed as well


def few(inputs: Any) -> Any:
    """The first samples of a batch, enough for a count; a tuple comes back as a list."""
    if isinstance(inputs, Tensor):
        return inputs[:_SAMPLES]
    if isinstance(inputs, Mapping):
        return {key: few(value) for key, value in inputs.items()}
    return [few(value) for value in inputs] if isinstance(inputs, tuple | list) else inputs


def _num_samples(inputs: Any) -> int:
    first = inputs
    while not isinstance(first, Tensor):
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    return len(first)


def _total(
    model: Grafted, incubation: Incubation, inputs: Any, loss_of: Callable[[Any], Tensor]
) -> Tensor:
    loss = loss_of(call(model, inputs))
    extra = incubation.loss(model, inputs, loss_of, 0)
    return loss if extra is None else loss + extra


def counter() -> FlopCounterMode:
    """Counts what runs inside, attention on the CPU included."""
    return FlopCounterMode(display=False, custom_mapping=_MISSING)


def _count(
    model: Grafted, run: Callable[[], Any], *, backward: bool = True
) -> tuple[float, dict[str, float]]:
    with counter() as counted:
        result = run()
        if backward:
            result.backward()
    by_module = counted.get_flop_counts()
    seeds = {
        slot.site.name: sum(by_module.get(f"Grafted.slots.{key}", {}).values())
        for key, slot in zip(model.slots, model, strict=True)
        if slot.route != "host"  # such a slot would be charged with the host's backward
    }
    return counted.get_total_flops(), seeds
