"""The topology as plain values: what a checkpoint says of slots, so that a fresh process rebuilds
them before it loads weights."""

from dataclasses import asdict
from typing import Any

import torch

from kasmina.graft import Grafted
from kasmina.nursery import adopt, build_seed
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.rng import undisturbed
from kasmina.seed import Seed
from kasmina.slot import SeedSlot
from kasmina.stage import Stage

_CPU = torch.device("cpu")
VERSION = 1


def topology(model: Grafted) -> dict[str, Any]:
    """Stages, alphas and recipes of every slot; JSON values only."""
    return {"version": VERSION, "slots": {slot.site.name: _describe(slot) for slot in model}}


def restore(model: Grafted, saved: dict[str, Any]) -> None:
    """Give every slot the stage, seed and alpha that ``saved`` says; weights come after.

    Raises:
        ValueError: another format version, or other slots than the model has.
        ImportError: a blueprint or an operator that is not here.

    Whatever is raised, no slot has changed.
    """
    if saved["version"] != VERSION:
        raise ValueError(f"topology has format {saved['version']}; this program reads {VERSION}")
    present = {slot.site.name for slot in model}
    if set(saved["slots"]) != present:
        raise ValueError(
            f"the checkpoint has slots at {sorted(saved['slots'])}, the model at {sorted(present)}"
        )
    states = [_rebuild(slot, saved["slots"][slot.site.name], model) for slot in model]
    for slot, (stage, seed, ramp) in zip(model, states, strict=True):
        state = saved["slots"][slot.site.name]
        slot.seed = None if seed is None else seed.train(slot.training)
        slot.set_ramp(ramp)
        slot.restore(stage, age=state["age"], births=state["births"])


def _describe(slot: SeedSlot) -> dict[str, Any]:
    seed = slot.seed
    return {
        "stage": str(slot.stage),
        "age": slot.age,
        "births": slot.births,
        "ramp": None if slot.ramp is None else asdict(slot.ramp),
        "seed": None
        if seed is None
        else {"blueprint": _saved(seed.blueprint), "operator": _saved(seed.operator)},
    }


def _rebuild(
    slot: SeedSlot, saved: dict[str, Any], model: Grafted
) -> tuple[Stage, Seed | None, Ramp | None]:
    stage = Stage(saved["stage"])
    ramp = None if saved["ramp"] is None else Ramp(**saved["ramp"])
    if saved["seed"] is None:
        return stage, None, ramp
    blueprint, operator = (Recipe.of(**saved["seed"][part]) for part in ("blueprint", "operator"))
    with undisturbed(_CPU), _CPU:
        seed = build_seed(slot.site, blueprint=blueprint, operator=operator)
    return stage, adopt(seed, model), ramp


def _saved(recipe: Recipe) -> dict[str, Any]:
    # apart: an option of the recipe may be called ``name`` as well
    return {"name": recipe.name, "config": recipe.to_config()}
