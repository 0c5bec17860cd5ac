"""Promises of steps, of a newborn and of the network itself, beside steps really taken."""

import copy
from typing import Any

import pytest
import torch
from test_blueprints import RECIPES
from torch import Tensor, nn
from toys import Cnn, Mlp, gradients, operator, same

from kasmina.graft import Grafted, graft
from kasmina.nursery import germinate
from kasmina.probe.dual import Dual
from kasmina.probe.promise import SIZES, Promises, best_fall, promises
from kasmina.stage import Event

MLP = {each.name: each for each in RECIPES if each.name == "mlp"}
CONV = {each.name: each for each in RECIPES if each.name in {"conv", "depthwise"}}
DUALS = {name: Dual(optimizer=name) for name in ("SGD", "Adam")}
LOSS = nn.functional.cross_entropy


def vectors() -> tuple[Grafted, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    batches = [(torch.randn(8, 5), torch.randint(3, (8,))) for _ in range(6)]
    return graft(Mlp(), ["second"], batches[0][0]), batches


def ask(model: Grafted, batches: Any, blueprints: Any = MLP, **facts: Any) -> Promises:
    asked: dict[str, Any] = {"run_seed": 3, "dual": DUALS["SGD"], "lr": 0.1, **facts}
    return promises(model, batches, LOSS, blueprints=blueprints, operator=operator(), **asked)


def falls(model: nn.Module, weights: list[nn.Parameter], batches: Any, name: str) -> Tensor:
    """Of every judging batch, by size, from steps along the mean gradient of the first three."""
    chosen, judges = batches[:3], batches[3:]
    loss = sum(LOSS(model(inputs), targets) for inputs, targets in chosen) / 3
    grads = torch.autograd.grad(loss, weights)
    born = [weight.detach().clone() for weight in weights]
    found = []
    with torch.no_grad():
        before = torch.stack([LOSS(model(x), y).double() for x, y in judges])
        for size in SIZES:
            for weight, start, grad in zip(weights, born, grads, strict=True):
                weight.copy_(start - size * 0.1 * (grad if name == "SGD" else grad.sign()))
            found.append(before - torch.stack([LOSS(model(x), y).double() for x, y in judges]))
    return torch.stack(found)


@pytest.mark.parametrize("name", DUALS)
def test_the_networks_promise_is_the_best_fall_of_steps_that_are_really_taken(name: str) -> None:
    model, batches = vectors()
    twin = copy.deepcopy(model)
    found = ask(model, batches, dual=DUALS[name]).own
    real = falls(twin, list(twin.parameters()), batches, name)
    best = real[real.mean(1).argmax()]
    assert found.value == pytest.approx(float(best.mean()), rel=1e-4)
    assert found.error == pytest.approx(float(best.std()) / 3**0.5, rel=1e-3)


@pytest.mark.parametrize("name", DUALS)
def test_the_seeds_promise_is_that_of_one_that_is_really_born(name: str) -> None:
    model, batches = vectors()
    twin = copy.deepcopy(model)
    found = ask(model, batches, dual=DUALS[name])
    assert (found.site, found.blueprint) == ("second", "mlp")
    slot = germinate(twin, "second", blueprint=MLP["mlp"], operator=operator(), run_seed=3)
    slot.move(Event.TRAIN)
    assert slot.seed is not None
    seed = slot.seed
    twin.slot("second").route = "blend"
    slot.alpha.fill_(1.0)
    outputs = [p for n, p in seed.named_parameters() if ".down." in f".{n}"]
    real = falls(twin, outputs, batches, name)
    best = real[real.mean(1).argmax()]
    assert found.seed.value == pytest.approx(float(best.mean()), rel=1e-4)
    assert found.seed.lower == found.seed.value - found.seed.error


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_bit_for_bit(training: bool) -> None:
    torch.manual_seed(0)
    batches = [(torch.randn(6, 2, 6, 6), torch.randint(3, (6,))) for _ in range(4)]
    model = graft(Cnn(), ["blocks.0", "blocks.2"], batches[0][0]).train(training)
    LOSS(model(batches[0][0]), batches[0][1]).backward()
    state, grads = copy.deepcopy(model.state_dict()), gradients(model)
    drawn = torch.get_rng_state()
    first = ask(model, batches, CONV)
    assert same(state, model.state_dict())
    assert same(grads, gradients(model))
    assert torch.equal(drawn, torch.get_rng_state())
    assert not any(slot._forward_hooks for slot in model)
    assert first.flops > 0
    torch.rand(1)
    assert ask(model, batches, CONV) == first  # though dropout draws


@pytest.mark.parametrize("least", [SIZES[0], SIZES[-1]])
def test_the_best_step_size_is_taken_and_one_that_explodes_is_not(least: float) -> None:
    after = {size: torch.tensor([1.0, 3.0]) - float(size == least) for size in SIZES}
    after[SIZES[2]] = torch.tensor([torch.nan, 0.0])
    after[SIZES[3]] = torch.tensor([torch.inf, 0.0])
    best = best_fall(torch.tensor([2.0, 3.0]), lambda size: after[size])
    assert (best.value, best.error) == (1.5, pytest.approx(0.5))


@pytest.mark.parametrize("count", range(4))
def test_too_few_batches_are_refused(count: int) -> None:
    model, batches = vectors()
    with pytest.raises(ValueError, match=f"a promise takes at least 4 batches, not {count}"):
        ask(model, batches[:count])
