"""The topology as plain values: what a checkpoint says of slots, so that a fresh process rebuilds
them before it loads weights."""

from dataclasses import asdict
from typing import Any

import torch

from kasmina.graft import Grafted
from kasmina.nursery import build_seed, like_host
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.slot import SeedSlot
from kasmina.stage import Stage

VERSION = 1


def topology(model: Grafted) -> dict[str, Any]:
    """Stages, alphas and recipes of every slot; JSON values only."""
    return {"version": VERSION, "slots": {slot.site.name: _describe(slot) for slot in model}}


def restore(model: Grafted, saved: dict[str, Any]) -> None:
    """Give every slot the stage, seed and alpha that ``saved`` says; weights come after.

    Raises:
        ValueError: another format version, or other slots than the model has.
    """
    if saved["version"] != VERSION:
        raise ValueError(f"topology has format {saved['version']}; this program reads {VERSION}")
    present = {slot.site.name for slot in model}
    if set(saved["slots"]) != present:
        raise ValueError(
            f"the checkpoint has slots at {sorted(saved['slots'])}, the model at {sorted(present)}"
        )
    for slot in model:
        _restore(slot, saved["slots"][slot.site.name], model)


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


def _restore(slot: SeedSlot, saved: dict[str, Any], model: Grafted) -> None:
    slot.seed = None
    if saved["seed"] is not None:
        blueprint, operator = map(_recipe, (saved["seed"]["blueprint"], saved["seed"]["operator"]))
        with torch.random.fork_rng(devices=[]):
            seed = build_seed(slot.site, blueprint=blueprint, operator=operator)
        slot.seed = like_host(seed, model.host).train(slot.training)
    slot.set_ramp(None if saved["ramp"] is None else Ramp(**saved["ramp"]))
    slot.restore(Stage(saved["stage"]), age=saved["age"], births=saved["births"])


def _saved(recipe: Recipe) -> dict[str, Any]:
    return {"name": recipe.name, **recipe.to_config()}


def _recipe(saved: dict[str, Any]) -> Recipe:
    name = saved["name"]
    return Recipe.of(name, {key: value for key, value in saved.items() if key != "name"})
