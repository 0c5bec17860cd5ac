"""What flows through a slot, at every stage."""

import copy
import gc
import pickle
import weakref
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import OPERATORS, Broken, HalfFrozen, Plain, gradients, lead, operator, recipe, same

from kasmina.nursery import build_seed
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.site import Site
from kasmina.slot import SeedSlot
from kasmina.stage import NEXT, Event, IllegalMove, Stage

SITE = Site.of("here", (2, 3, 4, 4))
ALPHAS = [0.0, 0.3, 0.5, 0.9, 1.0]
SILENT = [Stage.DORMANT, Stage.GERMINATED, Stage.TRAINING, Stage.PRUNED, Stage.EMBARGOED]
CONV = partial(nn.Conv2d, 3, 3, 1)
SPEAKING = [Stage.BLENDING, Stage.HOLDING, Stage.FOSSILIZED]


def slot_at(
    stage: Stage,
    *,
    blend: str = "Add",
    alpha: float = 1.0,
    blueprint: Recipe | None = None,
    **options: bool,
) -> SeedSlot:
    """A slot that was led to ``stage``."""
    slot = SeedSlot(SITE, **options)
    if stage is Stage.DORMANT:
        return slot
    made = blueprint or recipe(Plain)
    slot.germinate(build_seed(SITE, blueprint=made, operator=operator(blend)))
    lead(slot, stage, alpha=alpha)
    return slot


def features() -> Tensor:
    return torch.randn(2, 3, 4, 4)


def everything(slot: SeedSlot) -> dict[str, Any]:
    """All that a move may change."""
    kept = ("stage", "age", "births", "route", "ramp", "exact_alpha", "seed", "listens", "isolate")
    state = {name: getattr(slot, name) for name in kept}
    asking = {name: p.requires_grad for name, p in slot.named_parameters()}
    return {**state, "alpha": float(slot.alpha), "asking": asking}


def tell(slot: SeedSlot, event: Event) -> None:
    if event is Event.GERMINATE:
        slot.germinate(build_seed(SITE, blueprint=recipe(Plain), operator=operator()))
    else:
        slot.move(event, Ramp(ticks=4) if event is Event.BLEND else None)


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, Event)))
def test_a_slot_moves_as_the_table_says_or_raises_and_changes_nothing(
    stage: Stage, event: Event
) -> None:
    slot = slot_at(stage, alpha=0.6)
    slot.age = 3
    before, rng = everything(slot), torch.get_rng_state()
    if event in NEXT[stage]:
        tell(slot, event)
        assert slot.stage is NEXT[stage][event]
        assert slot.age == 0
    else:
        with pytest.raises(IllegalMove):
            tell(slot, event)
        if event is not Event.GERMINATE:  # there the test itself has drawn a newborn
            assert torch.equal(torch.get_rng_state(), rng)
        assert everything(slot) == before


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stage", SILENT)
def test_a_silent_slot_hands_on_the_very_tensor_that_came(stage: Stage, training: bool) -> None:
    h = features()
    assert slot_at(stage).train(training)(h) is h


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.5])
def test_a_listening_slot_hands_on_the_value_that_came(value: float, training: bool) -> None:
    slot = slot_at(Stage.TRAINING, listens=True, blueprint=recipe(Broken, value=value))
    h = features()
    assert torch.equal(slot.train(training)(h), h)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("stage", "blend"), list(product(SPEAKING, OPERATORS)))
def test_a_speaking_slot_computes_its_operator(stage: Stage, blend: str, alpha: float) -> None:
    slot, h = slot_at(stage, blend=blend, alpha=alpha), features()
    seed = slot.seed
    assert seed is not None
    assert torch.equal(slot(h), seed.blend(h, seed.body(h), torch.tensor(alpha)))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("stage", "blend"), list(product(SPEAKING[:2], OPERATORS)))
def test_isolated_the_host_has_the_gradient_of_no_seed_and_the_value_of_the_blend(
    stage: Stage, blend: str, alpha: float
) -> None:
    slot = slot_at(stage, blend=blend, alpha=alpha, isolate=True)
    h, flow = features().requires_grad_(), features()
    out = slot(h)
    out.backward(flow)
    assert h.grad is not None
    assert torch.equal(h.grad, flow)
    slot.isolate = False
    open_ = slot_at(stage, blend=blend, alpha=alpha)
    open_.load_state_dict(slot.state_dict())
    assert torch.equal(out, open_(h))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("blend", OPERATORS)
def test_isolated_a_seed_learns_from_what_it_adds(blend: str, alpha: float) -> None:
    slot = slot_at(Stage.BLENDING, blend=blend, alpha=alpha, isolate=True)
    h, flow = features().requires_grad_(), features()
    slot(h).backward(flow)
    learnt = gradients(slot)
    slot.zero_grad()
    seed = slot.seed
    assert seed is not None
    seed(h.detach(), torch.tensor(alpha)).backward(flow)
    assert same(learnt, gradients(slot))
    assert any(g is not None and bool(g.any()) for g in learnt.values()) == (alpha > 0)


def test_isolated_no_broken_seed_reaches_the_host_at_alpha_0() -> None:
    broken = recipe(Broken, value="nan")
    slot = slot_at(Stage.HOLDING, alpha=0.0, isolate=True, blueprint=broken)
    h, flow = features().requires_grad_(), features()
    out = slot(h)
    out.backward(flow)
    assert h.grad is not None
    assert torch.equal(out, h)
    assert torch.equal(h.grad, flow)


@pytest.mark.parametrize(
    ("stage", "isolate"),
    [(Stage.HOLDING, False), (Stage.FOSSILIZED, False), (Stage.FOSSILIZED, True)],
)
def test_open_or_fossilized_the_host_learns_through_the_seed(stage: Stage, isolate: bool) -> None:
    slot, h = slot_at(stage, isolate=isolate), features().requires_grad_()
    seed, flow = slot.seed, features()
    assert seed is not None
    slot(h).backward(flow)
    (through,) = torch.autograd.grad(seed.body(h), h, flow)
    assert h.grad is not None
    assert torch.equal(h.grad, through)
    assert bool(h.grad.any())


class ByHand(nn.Module):
    """A network that was written with the seed's body in place, blended at a fixed weight."""

    def __init__(self, slot: SeedSlot, blend: str, alpha: float) -> None:
        super().__init__()
        assert slot.seed is not None
        self.body = copy.deepcopy(slot.seed.body)
        self.score = copy.deepcopy(getattr(slot.seed.blend, "score", None))
        self.blend, self.alpha = blend, alpha

    def forward(self, h: Tensor) -> Tensor:
        z = self.body(h)
        if self.blend == "Multiply":
            return h * (1 + self.alpha * torch.tanh(z - h))
        if self.blend == "Add":
            return z if self.alpha == 1 else torch.lerp(h, z, self.alpha)
        assert self.score is not None
        gate = torch.sigmoid(self.score(h.mean(dim=(2, 3))))[:, :, None, None]
        return torch.lerp(h, z, self.alpha * gate)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("blend", OPERATORS)
def test_a_fossil_is_the_network_written_by_hand(blend: str, alpha: float) -> None:
    slot = slot_at(Stage.FOSSILIZED, blend=blend, alpha=alpha)
    ours, theirs = nn.Sequential(CONV(), slot), nn.Sequential(CONV(), ByHand(slot, blend, alpha))
    theirs[0].load_state_dict(ours[0].state_dict())
    x, flow = features(), features()
    out, expected = ours(x), theirs(x)
    out.backward(flow)
    expected.backward(flow)
    assert torch.equal(out, expected)
    grads = gradients(ours).items()
    renamed = {name.replace("seed.", "").replace("blend.", ""): grad for name, grad in grads}
    assert same(renamed, gradients(theirs))


def test_a_fossil_costs_what_the_network_written_by_hand_costs() -> None:
    slot, h = slot_at(Stage.FOSSILIZED), features().requires_grad_()
    assert slot.seed is not None
    out, by_hand = slot(h).grad_fn, slot.seed.body(h).grad_fn
    assert out is not None
    assert by_hand is not None
    assert out.name() == by_hand.name()


def test_a_pruned_slot_leaves_no_parameter_no_key_and_no_seed() -> None:
    empty, slot = slot_at(Stage.DORMANT), slot_at(Stage.HOLDING, alpha=0.5)
    seed = weakref.ref(slot.seed)
    slot(features()).sum().backward()
    slot.move(Event.PRUNE)
    gc.collect()
    assert seed() is None
    assert list(slot.parameters()) == []
    assert list(slot.state_dict()) == list(empty.state_dict()) == []
    assert (float(slot.alpha), slot.exact_alpha, slot.ramp) == (0.0, 0.0, None)
    assert [name for name, _ in slot.named_modules()] == [name for name, _ in empty.named_modules()]


@pytest.mark.parametrize("stage", Stage)
def test_only_a_seed_that_takes_part_asks_for_gradients(stage: Stage) -> None:
    slot = slot_at(stage)
    asking = {parameter.requires_grad for parameter in slot.parameters()}
    assert asking <= {stage is not Stage.GERMINATED}


@pytest.mark.parametrize("stage", [Stage.TRAINING, *SPEAKING])
def test_what_a_blueprint_froze_stays_frozen(stage: Stage) -> None:
    slot = slot_at(stage, blueprint=recipe(HalfFrozen))
    frozen = [name for name, p in slot.named_parameters() if not p.requires_grad]
    assert frozen == ["seed.body.map.bias"]


def test_a_newborn_takes_the_mode_of_its_slot() -> None:
    slot = SeedSlot(SITE).eval()
    slot.germinate(build_seed(SITE, blueprint=recipe(Plain), operator=operator()))
    assert not any(module.training for module in slot.modules())


def test_alpha_follows_its_ramp_tick_by_tick_and_says_when_it_has_arrived() -> None:
    slot = slot_at(Stage.TRAINING)
    slot.move(Event.BLEND, Ramp("linear", ticks=4, target=0.8))
    walked = [slot.exact_alpha]
    arrivals = []
    for _ in range(3):
        arrivals.append(slot.advance())
        walked.append(slot.exact_alpha)
    assert walked == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert walked[-1] == 0.8
    assert arrivals == [False, False, True]
    slot.move(Event.HOLD)
    assert not slot.advance()
    slot.move(Event.BLEND, Ramp("linear", ticks=2, target=0.0, start=slot.exact_alpha))
    assert slot.exact_alpha == pytest.approx(0.4)
    assert slot.advance()
    assert slot.exact_alpha == 0.0


def test_alpha_is_exact_in_the_ramp_where_the_buffer_rounds() -> None:
    slot = slot_at(Stage.BLENDING, alpha=0.3).to(torch.bfloat16)
    slot.set_ramp(Ramp(ticks=1, target=0.7, done=1))
    assert slot.exact_alpha == 0.7
    assert float(slot.alpha) == float(torch.tensor(0.7, dtype=torch.bfloat16)) != 0.7


def test_alpha_moves_in_place_and_is_no_key_of_a_checkpoint() -> None:
    slot = slot_at(Stage.BLENDING, alpha=0.3)
    buffer = slot.alpha
    slot.set_ramp(Ramp(ticks=1, target=0.7, done=1))
    assert slot.alpha is buffer
    assert "alpha" not in slot.state_dict()


def test_alpha_that_moves_between_forward_and_backward_is_an_error() -> None:
    slot = slot_at(Stage.BLENDING, alpha=0.3)
    out = slot(features().requires_grad_())
    slot.set_ramp(Ramp(ticks=1, target=0.7, done=1))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda slot: pickle.loads(pickle.dumps(slot))])
@pytest.mark.parametrize("stage", Stage)
def test_a_copy_of_a_slot_computes_the_same_and_stands_alone(stage: Stage, copied: Any) -> None:
    slot, h = slot_at(stage, alpha=0.5, listens=True), features()
    slot(h)  # the penalty of a listening slot hangs on a graph, which cannot be copied
    twin, before = copied(slot), slot(h)
    assert (twin.stage, twin.exact_alpha, twin.penalty) == (stage, slot.exact_alpha, None)
    assert torch.equal(twin(h), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(slot(h), before)
