"""A seed learns behind a host that does not notice."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from toys import (
    CLASSES,
    OPERATORS,
    Broken,
    Cnn,
    Dropping,
    HalfFrozen,
    Noisy,
    Plain,
    gradients,
    grafted,
    grow,
    images,
    recipe,
    same,
)

from kasmina.graft import Grafted, graft, ungraft
from kasmina.hosts.gpt import GPT
from kasmina.incubation import Incubation, Shadow, StraightThrough
from kasmina.stage import Event, Stage

MODES: dict[str, Incubation] = {
    "shadow": Shadow(interval=1),
    "shadow every 2nd": Shadow(interval=2),
    "ste": StraightThrough(),
    "ste ridge": StraightThrough(ridge=0.5),
}
SEEDS = {
    "finite": recipe(Plain),
    "inf": recipe(Broken, value="inf"),
    "nan": recipe(Broken, value="nan"),
    "dropout": recipe(Dropping),
    "statistics": recipe(Noisy),
}
VOCABULARY, CONTEXT = 11, 6


@dataclass(frozen=True)
class Case:
    """A model, its batches and their loss."""

    model: Grafted
    batches: list[tuple[Tensor, Tensor]]
    trace: list[dict[str, Any]] = field(default_factory=list)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def cnn(*, listens: bool) -> Case:
    batches = [(images(), torch.randint(0, CLASSES, (4,))) for _ in range(4)]
    model = grafted(Cnn(), listens=listens)
    grow(model, "blocks.1", Stage.BLENDING, blueprint=recipe(Noisy), blend="Gate", alpha=0.5)
    return Case(model, batches)


def gpt(*, listens: bool) -> Case:
    host = GPT(vocab_size=VOCABULARY, context=CONTEXT, depth=3, width=8, num_heads=2, dropout=0.2)
    tokens = [torch.randint(0, VOCABULARY, (2, CONTEXT)) for _ in range(4)]
    model = graft(host, ["blocks.*"], tokens[0], listens=listens)
    grow(model, "blocks.1", Stage.BLENDING, blueprint=recipe(Dropping), alpha=0.5)
    return Case(model, [(t, t.roll(-1, 1)) for t in tokens])


def train(case: Case, incubation: Incubation | None, how: str) -> None:
    """Two steps of two batches each: one backward a batch, gradients add up over two."""
    torch.manual_seed(5)
    case.model.train(how != "eval")
    for index, (inputs, targets) in enumerate(case.batches):
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "bf16 mixed"):
            outputs = case.model(inputs)
            loss = case.loss(outputs, targets)
            total = loss
            if incubation is not None:
                loss_of = partial(case.loss, targets=targets)
                extra = incubation.loss(case.model, inputs, loss_of, index // 2)
                total = loss if extra is None else loss + extra
        total.backward()
        case.trace.append(look(case.model, outputs, loss))
        if index % 2:
            descend(case.model)


def look(model: Grafted, outputs: Tensor, loss: Tensor) -> dict[str, Any]:
    """Everything that a training seed might have touched."""
    grads = {f"gradient of {name}": grad for name, grad in gradients(model).items()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen = {"outputs": outputs, "loss": loss, "random state": torch.get_rng_state()}
    return {**seen, **grads, **state}


def descend(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
                parameter.grad = None


HOSTS: dict[str, Callable[..., Case]] = {"cnn": cnn, "gpt": gpt}
FITTING = [pair for pair in product(HOSTS, SEEDS) if pair != ("gpt", "statistics")]


@pytest.mark.parametrize("how", ["train", "eval", "bf16 mixed"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("host", "seed"), FITTING)
def test_incubating_seeds_leave_all_else_bit_for_bit_alone(
    host: str, seed: str, mode: str, how: str
) -> None:
    incubation = MODES[mode]
    case = HOSTS[host](listens=incubation.listens)
    without = Case(copy.deepcopy(case.model), case.batches)
    for site in ("blocks.0", "blocks.2"):
        grow(case.model, site, Stage.TRAINING, blueprint=SEEDS[seed])
    train(case, incubation, how)
    train(without, None, how)
    for here, there in zip(case.trace, without.trace, strict=True):
        assert same({name: here[name] for name in there}, there)
    own = [g for name, g in case.trace[0].items() if name.startswith("gradient of slots.blocks/0")]
    heard = how != "eval" or isinstance(incubation, Shadow)
    assert {g is not None for g in own} == {heard}
    assert not heard or seed in {"inf", "nan"} or all(bool(g.any()) for g in own)


def alone(model: Grafted, inputs: Tensor) -> Tensor:
    """The shadow pass by hand: everything but the training seeds stands still."""
    training = model.at(Stage.TRAINING)
    model.requires_grad_(False)
    for slot in training:
        slot.requires_grad_(True)
    h = inputs
    for block, slot in zip(ungraft(model).blocks, model, strict=True):  # type: ignore[arg-type]
        h = block(h)
        if slot.seed is not None:
            alpha = torch.tensor(1.0 if slot in training else slot.exact_alpha)
            h = slot.seed.blend(h, slot.seed.body(h), alpha)
    return model.host.head(h.mean((2, 3)))  # type: ignore[operator]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("blend", OPERATORS)
def test_a_shadow_seed_has_the_gradient_of_a_pass_by_hand_behind_a_detached_host(
    blend: str, training: bool
) -> None:
    case = cnn(listens=False)
    for site in ("blocks.0", "blocks.2"):
        grow(case.model, site, Stage.TRAINING, blueprint=recipe(Noisy), blend=blend)
    model, (inputs, targets) = case.model.train(training), case.batches[0]
    twin = copy.deepcopy(model)
    torch.manual_seed(3)
    loss = Shadow(interval=1).loss(model, inputs, lambda out: case.loss(out, targets), 0)
    assert loss is not None
    loss.backward()
    torch.manual_seed(3)
    by_hand = case.loss(alone(twin, inputs), targets)
    by_hand.backward()
    assert torch.equal(loss, by_hand)
    assert same(gradients(model), gradients(twin))
    for slot, other in zip(model.at(Stage.TRAINING), twin.at(Stage.TRAINING), strict=True):
        assert same(slot.state_dict(), other.state_dict())  # the seed's own statistics move
        assert all(parameter.grad is not None for parameter in slot.parameters())


def test_a_shadow_seed_learns_for_the_loss_that_it_will_face() -> None:
    model, inputs, targets = grafted(Cnn(dropout=0.0)), images(16), torch.randint(0, CLASSES, (16,))
    slot = grow(model, "blocks.1", Stage.TRAINING)
    loss_of = partial(F.cross_entropy, target=targets)
    losses, host = [], loss_of(model(inputs)).item()
    for step in range(10):
        loss = Shadow(interval=1).loss(model, inputs, loss_of, step)
        assert loss is not None
        loss.backward()
        descend(slot)
        losses.append(loss.item())
    losses.append(loss_of(model(inputs, alphas={"blocks.1": 1.0})).item())
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert loss_of(model(inputs)).item() == host


def test_straight_through_hands_the_seed_the_gradient_at_the_slot() -> None:
    case = cnn(listens=True)
    slot = grow(case.model, "blocks.0", Stage.TRAINING, blueprint=recipe(Plain))
    seen: list[Tensor] = []
    block = case.model.host.get_submodule("blocks.0")
    block.register_forward_hook(lambda _m, _a, out: seen.append(out))
    inputs, targets = case.batches[0]
    outputs = case.model(inputs)
    seen[0].retain_grad()
    case.loss(outputs, targets).backward()
    seed, flow = slot.seed, seen[0].grad
    assert seed is not None
    assert flow is not None
    learnt = gradients(seed)
    seed.zero_grad()
    # with an ear on it, what the block put out came from the slot; its value is the host's
    seed(seen[0].detach(), torch.ones(())).backward(flow)
    assert same(learnt, gradients(seed))


def test_the_ridge_is_the_share_of_the_features_that_the_seed_changes() -> None:
    model, x = grafted(listens=True), images()
    slot = grow(model, "blocks.0", Stage.TRAINING)
    seed, seen = slot.seed, []
    assert seed is not None
    model.host.get_submodule("blocks.0").register_forward_hook(lambda _m, _a, out: seen.append(out))
    model(x)
    penalty = StraightThrough(ridge=0.25).loss(model, x, torch.sum, 0)
    change = seed.body(seen[0]) - seen[0]
    assert penalty is not None
    torch.testing.assert_close(penalty, 0.25 * change.square().sum() / seen[0].square().sum())


def test_a_penalty_is_taken_once() -> None:
    model, x, ridge = grafted(listens=True), images(), StraightThrough(ridge=1.0)
    slot = grow(model, "blocks.0", Stage.TRAINING)
    model(x)
    assert ridge.loss(model, x, torch.sum, 0) is not None
    assert ridge.loss(model, x, torch.sum, 0) is None
    model(x)
    slot.move(Event.PRUNE)
    assert ridge.loss(model, x, torch.sum, 0) is None


def test_the_shadow_passes_at_every_interval() -> None:
    model, x = grafted(), images()
    grow(model, "blocks.0", Stage.TRAINING)
    taken = [Shadow(interval=3).loss(model, x, torch.sum, step) is not None for step in range(7)]
    assert taken == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.TRAINING])
def test_without_a_seed_in_training_nothing_is_added_and_nothing_runs(
    stage: Stage, mode: str
) -> None:
    model, ran, x = grafted(listens=MODES[mode].listens), [], images()
    if stage is not Stage.DORMANT:
        grow(model, "blocks.0", stage)
    model(x)
    model.host.register_forward_hook(lambda *_: ran.append(1))
    assert MODES[mode].loss(model, x, torch.sum, 0) is None
    assert ran == []


def test_the_shadow_takes_inputs_by_name() -> None:
    model, x = grafted(), images()
    slot = grow(model, "blocks.0", Stage.TRAINING)
    loss = Shadow(interval=1).loss(model, {"x": x}, torch.sum, 0)
    assert loss is not None
    loss.backward()
    assert all(parameter.grad is not None for parameter in slot.parameters())


def test_what_a_blueprint_froze_learns_nothing() -> None:
    model, x = grafted(), images()
    slot = grow(model, "blocks.0", Stage.TRAINING, blueprint=recipe(HalfFrozen))
    loss = Shadow(interval=1).loss(model, x, torch.sum, 0)
    assert loss is not None
    loss.backward()
    still = [name for name, parameter in slot.named_parameters() if parameter.grad is None]
    assert still == ["seed.body.map.bias"]


def test_a_shadow_that_fails_leaves_the_model_whole() -> None:
    model, x = grafted(), images()
    grow(model, "blocks.0", Stage.TRAINING)
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    state, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with pytest.raises(ValueError, match="batch_size"):
        Shadow(interval=1).loss(model, x, lambda out: F.nll_loss(out, torch.zeros(99).long()), 0)
    assert same(model.state_dict(), state)
    assert torch.equal(torch.get_rng_state(), rng)
    assert [slot.route for slot in model] == ["host"] * 3
    now = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert all(now[name] is tensor for name, tensor in tensors.items())


def test_an_impossible_option_is_refused() -> None:
    with pytest.raises(ValueError, match="interval of at least 1 step, not 0"):
        Shadow(interval=0)
    with pytest.raises(ValueError, match=r"a ridge is at least 0, not -0\.1"):
        StraightThrough(ridge=-0.1)
