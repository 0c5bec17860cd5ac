"""FLOPs against a count by hand."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import (
    OPERATORS,
    Cnn,
    Dropping,
    Mlp,
    Noisy,
    gradients,
    grafted,
    grow,
    images,
    recipe,
    same,
)

from kasmina.flops import StepCost, few, step_cost
from kasmina.graft import Grafted, graft
from kasmina.hosts.gpt import GPT
from kasmina.incubation import Incubation, Shadow, StraightThrough
from kasmina.stage import Stage

# a sample's forward; a multiplication with an addition is two, biases and norms are not counted
PIXELS, WIDTH = 36, 4
FIRST = 2 * PIXELS * 9 * 2 * WIDTH
LATER = 2 * PIXELS * 9 * WIDTH * WIDTH
HEAD = 2 * WIDTH * 3
SEED = 2 * PIXELS * WIDTH * WIDTH
FORWARD = FIRST + 2 * LATER + HEAD
# backward is two products a layer, for weight and input; the image needs no gradient
MAIN = 2 * FIRST + 3 * (2 * LATER + HEAD)


def cost(model: Grafted, incubation: Incubation | None = None, samples: int = 2) -> StepCost:
    return step_cost(model, incubation or Shadow(interval=1), few(images(samples)), torch.sum)


def test_an_empty_network_costs_what_its_layers_cost() -> None:
    expected = StepCost(
        main=MAIN,
        incubation=0,
        evaluation=FORWARD,
        seeds={},
    )
    assert cost(grafted(Cnn(width=WIDTH))) == expected


def test_a_linear_network_costs_what_its_products_cost() -> None:
    model, x = graft(Mlp(), ["first", "second"], torch.randn(2, 5)), torch.randn(2, 5)
    grow(model, "second", Stage.FOSSILIZED)
    first, second, head, seed = 2 * 5 * 4, 2 * 4 * 4, 2 * 4 * 3, 2 * 4 * 4
    counted = step_cost(model, Shadow(interval=1), x, torch.sum)
    assert counted.evaluation == first + second + head + seed
    assert counted.main == 2 * first + 3 * (second + head + seed)
    assert counted.seeds == {"second": 3 * seed}


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_the_count_is_a_sample_whatever_the_batch(samples: int) -> None:
    model, expected = grafted(Cnn(width=WIDTH)), cost(grafted(Cnn(width=WIDTH)))
    assert cost(model, samples=samples) == expected
    assert step_cost(model, Shadow(interval=1), images(samples), torch.sum) == expected


@pytest.mark.parametrize("blend", ["Add", "Multiply"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("stage", [Stage.BLENDING, Stage.HOLDING, Stage.FOSSILIZED])
def test_a_speaking_seed_is_part_of_the_main_step(stage: Stage, alpha: float, blend: str) -> None:
    model = grafted(Cnn(width=WIDTH))
    grow(model, "blocks.1", stage, alpha=alpha, blend=blend)
    expected = StepCost(
        main=MAIN + 3 * SEED,
        incubation=0,
        evaluation=FORWARD + SEED,
        seeds={"blocks.1": 3 * SEED},
        looks={} if stage is Stage.FOSSILIZED else {"blocks.1": FORWARD + SEED},
    )
    assert cost(model) == expected


def test_an_isolated_seed_gives_no_gradient_to_the_host() -> None:
    model = grafted(Cnn(width=WIDTH), isolate=True)
    grow(model, "blocks.1", Stage.BLENDING)
    assert cost(model).main == MAIN + 2 * SEED
    assert cost(model).seeds == {"blocks.1": 2 * SEED}


@pytest.mark.parametrize("interval", [1, 4])
def test_a_shadow_costs_a_forward_and_the_backward_above_the_seed(interval: int) -> None:
    model = grafted(Cnn(width=WIDTH))
    grow(model, "blocks.1", Stage.TRAINING)
    above = LATER + HEAD
    expected = StepCost(
        main=MAIN,
        incubation=(FORWARD + above + 2 * SEED) / interval,
        evaluation=FORWARD,
        looks={"blocks.1": FORWARD + SEED},
    )
    assert cost(model, Shadow(interval=interval)) == expected


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_straight_through_costs_the_seed(ridge: float) -> None:
    model = grafted(Cnn(width=WIDTH), listens=True)
    grow(model, "blocks.1", Stage.TRAINING)
    counted = cost(model, StraightThrough(ridge=ridge))
    assert (counted.main, counted.incubation) == (MAIN, 2 * SEED)


def test_each_seed_has_its_own_share() -> None:
    model = grafted(Cnn(width=WIDTH))
    grow(model, "blocks.0", Stage.HOLDING)
    grow(model, "blocks.1", Stage.TRAINING)
    grow(model, "blocks.2", Stage.FOSSILIZED, blend="Gate")
    gate = 2 * WIDTH
    counted = cost(model)
    assert counted.seeds == {"blocks.0": 3 * SEED, "blocks.2": 3 * (SEED + gate)}
    assert counted.main == MAIN + sum(counted.seeds.values())


def test_attention_is_counted() -> None:
    tokens, width, vocabulary = 6, 8, 11
    host = GPT(vocab_size=vocabulary, context=tokens, depth=1, width=width, num_heads=2)
    model = graft(host, ["blocks.*"], torch.zeros(2, tokens, dtype=torch.long))
    inputs = torch.zeros(2, tokens, dtype=torch.long)
    counted = step_cost(model, Shadow(interval=1), inputs, torch.sum)
    linear = 2 * tokens * width * (3 * width + width + 4 * width + 4 * width + vocabulary)
    attention = 2 * 2 * tokens * tokens * width  # scores and their sum of values, all heads
    assert counted.evaluation == linear + attention
    assert counted.main == 3 * linear + attention + 5 * attention / 2  # torch: five in backward


def test_flex_attention_is_counted_as_what_it_computes() -> None:
    """It has no count of its own, and one that fails spoils it for the whole process."""
    torch.manual_seed(0)
    tokens = torch.zeros(2, 8, dtype=torch.long)

    def of(backend: str) -> StepCost:
        host = GPT(vocab_size=5, context=8, depth=1, width=8, num_heads=2, backend=backend)
        model = graft(host, ["blocks.*"], tokens) if backend == "auto" else Grafted(host, [])
        return step_cost(model, Shadow(interval=1), tokens, lambda out: out.square().mean())

    assert of("flex").main == of("auto").main


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("incubation", [Shadow(interval=1), StraightThrough(ridge=0.5)])
@pytest.mark.parametrize("blend", OPERATORS)
def test_a_count_touches_nothing(blend: str, incubation: Incubation, training: bool) -> None:
    model = grafted(Cnn(), listens=incubation.listens).train(training)
    grow(model, "blocks.0", Stage.BLENDING, blueprint=recipe(Noisy), blend=blend, alpha=0.5)
    grow(model, "blocks.1", Stage.TRAINING, blueprint=recipe(Dropping), blend=blend)
    batch = images()
    model(batch).sum().backward()
    state, grads = copy.deepcopy(model.state_dict()), gradients(model)
    seen, rng = [vars(slot).copy() for slot in model], torch.get_rng_state()
    with torch.no_grad():  # a count is asked for wherever the run is
        step_cost(model, incubation, batch, torch.sum)
    assert same(model.state_dict(), state)
    assert same(gradients(model), grads)
    assert torch.equal(torch.get_rng_state(), rng)
    assert [vars(slot) for slot in model] == seen
    assert {module.training for module in model.modules()} == {training}


def test_a_host_without_a_slot_is_counted_too() -> None:
    model = graft(Mlp(), [], torch.randn(2, 5))
    assert step_cost(model, Shadow(interval=1), torch.randn(2, 5), torch.sum).evaluation == 2 * (
        20 + 16 + 12
    )


@pytest.mark.parametrize(
    ("batch", "left"),
    [
        (torch.arange(5), torch.arange(2)),
        (torch.arange(1), torch.arange(1)),
        ({"x": torch.arange(5), "flag": True}, {"x": torch.arange(2), "flag": True}),
        ((torch.arange(5), [torch.arange(4)]), [torch.arange(2), [torch.arange(2)]]),
    ],
)
def test_few_samples_are_the_first_of_every_tensor(batch: Any, left: Any) -> None:
    torch.testing.assert_close(few(batch), left)


class Twice(nn.Module):
    """Takes two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.linear(left) + self.linear(right)


@pytest.mark.parametrize("kind", [list, partial(zip, ["left", "right"])])
def test_inputs_may_come_in_a_list_or_by_name(kind: Any) -> None:
    pair = [torch.randn(2, 5), torch.randn(2, 5)]
    inputs = pair if kind is list else dict(kind(pair))
    model = graft(Twice(), [], inputs)
    assert step_cost(model, Shadow(interval=1), inputs, torch.sum).evaluation == 2 * 2 * 5 * 5
