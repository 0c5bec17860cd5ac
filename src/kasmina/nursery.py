"""Germination: one run seed, slot and count give one seed, which is then fitted to the host."""

from collections.abc import Mapping

import torch
from torch import nn

from kasmina.graft import Grafted
from kasmina.layout import guard_groupnorms
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.rng import derive, undisturbed
from kasmina.seed import Seed
from kasmina.site import Site
from kasmina.slot import SeedSlot
from kasmina.stage import Event, after

_CPU = torch.device("cpu")


def germinate(
    model: Grafted, name: str, *, blueprint: Recipe, operator: Recipe, run_seed: int
) -> SeedSlot:
    """Put a newborn into the slot ``name`` and return the slot.

    The newborn is a pure function of run seed, slot and the slot's count of births, whatever else
    has drawn random numbers; the global random state does not move. It takes the host's device,
    dtype, memory format and mode.

    Raises:
        IllegalMove: the slot is not dormant.
        ValueError: the blueprint does not fit the slot's kind of features.
    """
    slot = model.slot(name)
    after(slot.stage, Event.GERMINATE)
    check_fit(blueprint, slot.site)
    seed = newborn(slot, blueprint=blueprint, operator=operator, run_seed=run_seed)
    slot.germinate(adopt(seed, model))
    return slot


def newborn(slot: SeedSlot, *, blueprint: Recipe, operator: Recipe, run_seed: int) -> Seed:
    """The seed that would germinate in this slot now, on the CPU in float32; nothing changes."""
    with undisturbed(_CPU), _CPU:
        # torch.manual_seed would set the generators of all accelerators as well
        torch.default_generator.manual_seed(derive(run_seed, slot.site.name, slot.births))
        return build_seed(slot.site, blueprint=blueprint, operator=operator)


def build_seed(site: Site, *, blueprint: Recipe, operator: Recipe) -> Seed:
    """A seed with weights of its own, on the CPU in float32."""
    body, blend = blueprint.build(site), operator.build(site)
    guard_groupnorms(body)
    return Seed(body, blend, blueprint=blueprint, operator=operator)


def check_fit(blueprint: Recipe, site: Site) -> None:
    """Raise ValueError where the blueprint cannot transform what passes at ``site``."""
    kinds = blueprint.locate().kinds
    if site.kind not in kinds:
        raise ValueError(
            f"blueprint {blueprint.name!r} transforms {' or '.join(kinds)}; "
            f"slot {site.name!r} passes a {site.kind}"
        )


def adopt(seed: Seed, model: Grafted) -> Seed:
    """The seed as the model has its own modules: like the host, compiled or shared out as it is."""
    seed = like_host(seed, model.host)
    if model.compile_seed is not None:
        model.compile_seed(seed.body)
    if model.share_seed is not None:
        model.share_seed(seed)
    return seed


def like_host(seed: Seed, host: nn.Module) -> Seed:
    """The seed with the host's device, dtype and memory format."""
    weights = [p for p in host.parameters() if p.is_floating_point()]
    if weights:
        seed = seed.to(device=weights[0].device, dtype=weights[0].dtype)
    return seed.to(memory_format=torch.channels_last) if in_channels_last(host) else seed  # type: ignore[call-overload]


def in_channels_last(host: nn.Module) -> bool:
    """Whether the host's convolution weights lie in channels_last order."""
    # by strides: with one input channel is_contiguous() says yes to both orders
    return any(p.dim() == 4 and p.stride(1) < p.stride(2) for p in host.parameters())


def sizes(site: Site, blueprints: Mapping[str, Recipe], operator: Recipe) -> dict[str, int]:
    """Parameters that a seed of each fitting blueprint has at ``site``, in the given order."""
    counts = {}
    for name, blueprint in blueprints.items():
        if site.kind in blueprint.locate().kinds:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                seed = build_seed(site, blueprint=blueprint, operator=operator)
            counts[name] = seed.num_parameters
    return counts


def plant(
    model: Grafted, planted: Mapping[str, Recipe], *, operator: Recipe, run_seed: int
) -> None:
    """Fossilize a seed in each named slot before training starts: a network grown from step 0."""
    for name, blueprint in planted.items():
        slot = germinate(model, name, blueprint=blueprint, operator=operator, run_seed=run_seed)
        slot.move(Event.TRAIN)
        slot.move(Event.BLEND, Ramp(ticks=1))
        slot.move(Event.HOLD)
        slot.move(Event.FOSSILIZE)
