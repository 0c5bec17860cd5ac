"""A host with slots: looks at other networks, copies, and what a prune leaves."""

import copy
import gc
import pickle
import weakref
from itertools import product
from typing import Any

import pytest
import torch
import toys
from torch import Tensor
from toys import gradients, grafted, grow, images, operator, recipe, same

from kasmina.graft import Grafted, ungraft
from kasmina.nursery import germinate
from kasmina.stage import Event, Stage

SITES = ["blocks.0", "blocks.1", "blocks.2"]


def step(model: Grafted, x: Tensor) -> Tensor:
    """One forward and backward under a seed of its own."""
    torch.manual_seed(1)
    out: Tensor = model(x)
    out.square().sum().backward()
    return out.detach()


def test_a_slot_is_found_by_name_and_a_wrong_name_is_answered() -> None:
    model = grafted()
    assert [slot.site.name for slot in model] == SITES
    assert model.slot("blocks.1") is list(model)[1]
    with pytest.raises(ValueError, match=r"unknown slot 'blocks\.l'; did you mean 'blocks"):
        model.slot("blocks.l")


def test_slots_are_found_by_stage() -> None:
    model = grafted()
    grow(model, "blocks.1", Stage.TRAINING)
    grow(model, "blocks.2", Stage.HOLDING)
    assert model.at(Stage.TRAINING, Stage.HOLDING) == [model.slot(s) for s in SITES[1:]]
    assert model.at(Stage.FOSSILIZED) == []


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.DORMANT])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_a_look_at_another_alpha_is_the_network_that_has_it(stage: Stage, alpha: float) -> None:
    model, x = grafted().eval(), images()
    slot = grow(model, "blocks.1", stage, alpha=0.7)
    other, before, route = copy.deepcopy(model), model(x), slot.route
    twin = other.slot("blocks.1")
    if twin.seed is not None:
        twin.route = "blend"
        twin.alpha.fill_(alpha)
    assert torch.equal(model(x, alphas={"blocks.1": alpha}), other(x))
    assert torch.equal(model(x), before)
    assert (slot.route, slot.stage) == (route, stage)


def test_a_look_leaves_the_backward_of_an_earlier_pass_alone() -> None:
    model, x = grafted().eval(), images()
    grow(model, "blocks.1", Stage.BLENDING, alpha=0.7)
    loss = model(x).sum()
    model(x, alphas={"blocks.1": 0.0})
    loss.backward()
    assert model.slot("blocks.1").exact_alpha == pytest.approx(0.7)


def test_a_look_that_fails_puts_everything_back() -> None:
    model = grafted().eval()
    slot = grow(model, "blocks.1", Stage.BLENDING, alpha=0.7)
    alpha, route = slot.alpha, slot.route
    with pytest.raises(RuntimeError):
        model(torch.randn(2, 9, 6, 6), alphas={"blocks.1": 0.0, "blocks.0": 1.0})
    with pytest.raises(ValueError, match="unknown slot 'nowhere'"):
        model(images(), alphas={"blocks.1": 0.0, "nowhere": 1.0})
    assert slot.alpha is alpha
    assert slot.route == route


@pytest.mark.parametrize(
    ("copied", "stage"),
    list(product([copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], Stage)),
)
def test_a_copy_computes_the_same_and_stands_alone(copied: Any, stage: Stage) -> None:
    model, x = grafted().eval(), images()
    if stage is not Stage.DORMANT:
        grow(model, "blocks.1", stage, alpha=0.5)
    before, twin = model(x), copied(model)
    assert torch.equal(twin(x), before)
    ungraft(twin)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(model(x), before)
    if stage is Stage.HOLDING:
        model.slot("blocks.1").move(Event.PRUNE)
        assert twin.slot("blocks.1").stage is Stage.HOLDING


def test_a_copied_graft_can_be_grown_and_ungrafted_by_itself() -> None:
    model, x = grafted().eval(), images()
    twin, before = copy.deepcopy(model), model(x)
    germinate(twin, "blocks.0", blueprint=recipe(toys.Plain), operator=operator(), run_seed=0)
    toys.lead(twin.slot("blocks.0"), Stage.FOSSILIZED)
    assert torch.equal(model(x), before)
    assert not torch.equal(twin(x), before)
    assert torch.equal(ungraft(twin)(x), before)


def test_a_pruned_network_is_as_if_the_slot_had_been_empty() -> None:
    model, x = grafted(), images()
    bare, keys = copy.deepcopy(model), list(model.state_dict())
    slot = grow(model, "blocks.1", Stage.HOLDING, alpha=0.5)
    seed = weakref.ref(slot.seed)
    model(x, alphas={"blocks.1": 1.0})
    for event in (Event.PRUNE, Event.EMBARGO, Event.RELEASE):
        slot.move(event)
    gc.collect()
    assert seed() is None
    assert list(model.state_dict()) == keys
    model.load_state_dict(bare.state_dict())
    assert torch.equal(step(model, x), step(bare, x))
    assert same(gradients(model), gradients(bare))
    assert same(dict(model.named_buffers()), dict(bare.named_buffers()))
