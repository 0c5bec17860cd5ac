"""The topology as plain values, and back."""

import json
from itertools import product
from typing import Any

import pytest
import torch
from toys import (
    OPERATORS,
    Named,
    Noisy,
    Plain,
    gradients,
    grafted,
    grow,
    images,
    operator,
    recipe,
    same,
)

from kasmina.graft import Grafted
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.stage import Event, Stage
from kasmina.topology import restore, topology


def saved(model: Grafted) -> Any:
    """What a file would hold."""
    return json.loads(json.dumps(topology(model)))


def fresh(model: Grafted, *, listens: bool = False, isolate: bool = False) -> Grafted:
    """Another host, brought to the model's topology and weights."""
    torch.manual_seed(99)
    twin = grafted(listens=listens, isolate=isolate)
    restore(twin, saved(model))
    twin.load_state_dict(model.state_dict(), strict=True)
    return twin


def loss(model: Grafted) -> torch.Tensor:
    torch.manual_seed(1)
    out = model(images())
    out.square().sum().backward()
    return out.detach()


@pytest.mark.parametrize(("stage", "blend"), list(product(Stage, OPERATORS)))
def test_a_fresh_model_becomes_the_saved_one(stage: Stage, blend: str) -> None:
    model = grafted()
    if stage is not Stage.DORMANT:
        grow(model, "blocks.1", stage, blueprint=recipe(Noisy), blend=blend, alpha=0.3)
    grow(model, "blocks.2", Stage.FOSSILIZED)
    twin = fresh(model)
    assert topology(twin) == topology(model)
    assert saved(twin) == saved(model)
    slots = zip(model, twin, strict=True)
    assert all(
        (a.route, a.exact_alpha, a.alpha) == (b.route, b.exact_alpha, b.alpha) for a, b in slots
    )
    assert torch.equal(loss(model), loss(twin))
    assert same(gradients(model), gradients(twin))
    assert [p.requires_grad for p in model.parameters()] == [
        p.requires_grad for p in twin.parameters()
    ]
    assert list(twin.state_dict()) == list(model.state_dict())


def test_a_ramp_goes_on_where_it_stood() -> None:
    model = grafted()
    slot = grow(model, "blocks.0", Stage.TRAINING)
    slot.move(Event.BLEND, Ramp("sigmoid", ticks=5, target=0.9))
    slot.advance()
    slot.age = 4
    again = fresh(model).slot("blocks.0")
    assert (again.age, again.births) == (4, 1)
    while not slot.advance():
        assert not again.advance()
        assert again.exact_alpha == slot.exact_alpha
    assert again.advance()
    assert again.exact_alpha == slot.exact_alpha == 0.9


def test_the_next_newborn_is_the_one_that_would_have_come() -> None:
    model = grafted()
    slot = grow(model, "blocks.0", Stage.EMBARGOED)
    twin = fresh(model)
    for each in (model, twin):
        each.slot("blocks.0").move(Event.RELEASE)
        germinate(each, "blocks.0", blueprint=recipe(Plain), operator=operator(), run_seed=3)
    assert same(dict(slot.state_dict()), dict(twin.slot("blocks.0").state_dict()))


def test_an_option_may_be_called_name() -> None:
    model = grafted()
    grow(model, "blocks.0", Stage.TRAINING, blueprint=recipe(Named, name="of the seed"))
    seed = fresh(model).slot("blocks.0").seed
    assert seed is not None
    assert seed.blueprint == recipe(Named, name="of the seed")
    assert isinstance(seed.body, Named)
    assert seed.body.name == "of the seed"


def test_restoring_moves_no_random_state_and_replaces_what_stood_there() -> None:
    model, other = grafted(), grafted()
    grow(model, "blocks.0", Stage.HOLDING)
    grow(other, "blocks.0", Stage.TRAINING, blueprint=recipe(Noisy))
    grow(other, "blocks.1", Stage.FOSSILIZED)
    before = torch.get_rng_state()
    restore(other, saved(model))
    assert torch.equal(torch.get_rng_state(), before)
    assert topology(other) == topology(model)
    assert list(other.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_a_restored_seed_takes_mode_and_dtype_of_its_new_host(training: bool) -> None:
    model, twin = grafted(), grafted().train(training).double()
    grow(model, "blocks.0", Stage.TRAINING)
    restore(twin, saved(model))
    slot = twin.slot("blocks.0")
    assert {p.dtype for p in slot.parameters()} == {torch.float64}
    assert {module.training for module in slot.modules()} == {training}


def test_a_restored_slot_keeps_the_options_of_its_own_model() -> None:
    model = grafted()
    grow(model, "blocks.0", Stage.TRAINING)
    grow(model, "blocks.1", Stage.HOLDING)
    twin = fresh(model, listens=True, isolate=True)
    assert [slot.route for slot in twin] == ["listen", "isolate", "host"]


def damaged(**changes: Any) -> dict[str, Any]:
    """A saved topology whose last slot is not as it should be."""
    model = grafted()
    grow(model, "blocks.0", Stage.TRAINING)
    grow(model, "blocks.2", Stage.BLENDING)
    state = saved(model)
    state["slots"]["blocks.2"] |= changes
    return state


def recipes(target: str) -> dict[str, Any]:
    made = {"name": "gone", "config": {"_target_": target}}
    return {"blueprint": made, "operator": made}


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (damaged() | {"version": 99}, ValueError, "topology has format 99; this program reads 1"),
        (
            damaged() | {"slots": {"a": {}}},
            ValueError,
            "the checkpoint has slots at .'a'., the mod",
        ),
        (damaged(stage="asleep"), ValueError, "'asleep' is not a valid Stage"),
        (damaged(ramp={"ticks": 0}), ValueError, "at least 1 tick"),
        (damaged(seed=recipes("toys.Gone")), ImportError, "'toys' has no 'Gone'"),
        (damaged(seed=recipes("toys.Named")), TypeError, "name"),
    ],
)
def test_a_topology_that_cannot_be_restored_changes_no_slot(
    state: dict[str, Any], error: type[Exception], said: str
) -> None:
    model, x = grafted().eval(), images()
    grow(model, "blocks.1", Stage.HOLDING, alpha=0.5)
    before, seeds, out = topology(model), [slot.seed for slot in model], model(x)
    with pytest.raises(error, match=said):
        restore(model, state)
    assert topology(model) == before
    assert [slot.seed for slot in model] == seeds
    assert torch.equal(model(x), out)
