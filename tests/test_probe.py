"""The probe: exact gradients of every candidate from one pass, and a network that stays as it was.

The reference is the way around the probe: germinate one candidate in a copy for real, blend it in
at alpha 1 in a shadow pass, and read the gradients that its parameters have.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from test_blueprints import RECIPES
from torch import Tensor, nn
from toys import Cnn, Plain, gradients, grow, operator, recipe, same

from kasmina.graft import Grafted, graft
from kasmina.hosts.convnet import ConvNet
from kasmina.hosts.gpt import GPT
from kasmina.hosts.mlp import MLP
from kasmina.incubation import Shadow
from kasmina.nursery import germinate, sizes
from kasmina.probe import Probe, Score, pooled, probe
from kasmina.probe.dual import Dual
from kasmina.probe.evidence import Criterion
from kasmina.probe.gradmax import GradMax
from kasmina.probe.lot import Random
from kasmina.probe.natural import Natural
from kasmina.stage import Event, Stage
from kasmina.tasks import token_loss

BLUEPRINTS = {each.name: each for each in RECIPES}
FEW = {name: BLUEPRINTS[name] for name in ("depthwise", "norm", "attention", "mlp")}
ADAM, SGD = Dual(optimizer="torch.optim.AdamW"), Dual(optimizer="torch.optim.SGD")

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Any, Tensor], Tensor]


@dataclass
class Case:
    """A network with slots, and a batch for it."""

    model: Grafted
    batch: Batch
    loss: Loss = nn.functional.cross_entropy

    def probe(self, criterion: Criterion = ADAM, blend: str = "Add", **options: Any) -> Probe:
        asked: dict[str, Any] = {
            "batches": [self.batch],
            "blueprints": BLUEPRINTS,
            "operator": operator(blend),
            "run_seed": 3,
            **options,
        }
        batches = asked.pop("batches")
        return probe(self.model, batches, self.loss, criterion=criterion, **asked)


def images() -> Case:
    torch.manual_seed(0)
    host = ConvNet(in_channels=2, num_classes=3, widths=(6, 4))
    inputs = torch.randn(12, 2, 8, 8)
    return Case(graft(host, ["stages.*"], inputs), (inputs, torch.randint(3, (12,))))


def channels_last() -> Case:
    case = images()
    case.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs, targets = case.batch
    case.batch = inputs.contiguous(memory_format=torch.channels_last), targets
    return case


def tokens() -> Case:
    torch.manual_seed(0)
    host = GPT(vocab_size=7, context=6, depth=2, width=8, num_heads=2)
    drawn = torch.randint(7, (12, 7))
    return Case(graft(host, ["blocks.*"], drawn[:2, :6]), (drawn[:, :6], drawn[:, 1:]), token_loss)


def vectors() -> Case:
    torch.manual_seed(0)
    host = MLP(in_features=5, num_classes=3, widths=(8, 6))
    inputs = torch.randn(12, 5)
    return Case(graft(host, ["layers.*"], inputs), (inputs, torch.randint(3, (12,))))


CASES = {"images": images, "channels_last": channels_last, "tokens": tokens, "vectors": vectors}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def truly_born(case: Case, site: str, blueprint: str, blend: str = "Add") -> dict[str, Tensor]:
    """Gradients of a candidate that is germinated alone, in a copy, and trains as a shadow."""
    model = copy.deepcopy(case.model)
    recipe_ = BLUEPRINTS[blueprint]
    slot = germinate(model, site, blueprint=recipe_, operator=operator(blend), run_seed=3)
    slot.move(Event.TRAIN)
    inputs, targets = case.batch
    loss = Shadow(interval=1).loss(model, inputs, lambda out: case.loss(out, targets), 0)
    assert loss is not None
    loss.backward()
    assert slot.seed is not None
    return {n: p.grad for n, p in slot.seed.named_parameters() if p.grad is not None}


EVERY = [(kind, "Add") for kind in CASES] + [("vectors", "Multiply"), ("tokens", "Gate")]


@pytest.mark.parametrize(("kind", "blend"), EVERY)
def test_a_score_is_the_dual_norm_of_what_a_real_newborn_gets(kind: str, blend: str) -> None:
    case = CASES[kind]()
    by_l1, by_l2 = case.probe(ADAM, blend), case.probe(SGD, blend)
    fitting = [sizes(slot.site, BLUEPRINTS, operator(blend)) for slot in case.model]
    assert len(by_l1.scores) == len(by_l2.scores) == sum(map(len, fitting))
    for l1, l2 in zip(_by_name(by_l1), _by_name(by_l2), strict=True):
        grads = truly_born(case, l1.site, l1.blueprint, blend)
        flat = torch.cat([grad.flatten() for grad in grads.values()]).double()
        assert l1.value == pytest.approx(float(flat.abs().sum()), rel=1e-5)
        assert l2.value == pytest.approx(float(flat.square().sum()), rel=1e-5)
        assert l1.value > 0


def _by_name(probed: Probe) -> list[Score]:
    return sorted(probed.scores, key=lambda score: (score.site, score.blueprint))


def test_sizes_are_those_of_the_nursery(case: Case) -> None:
    found = {(s.site, s.blueprint): s.parameters for s in case.probe(Random()).scores}
    for slot in case.model:
        for name, size in sizes(slot.site, BLUEPRINTS, operator()).items():
            assert found[slot.site.name, name] == size


@pytest.mark.parametrize("criterion", [ADAM, Natural()], ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_bit_for_bit(case: Case, criterion: Criterion, training: bool) -> None:
    model = case.model.train(training)
    inputs, targets = case.batch
    case.loss(model(inputs), targets).backward()
    state, grads = copy.deepcopy(model.state_dict()), gradients(model)
    drawn, modes = torch.get_rng_state(), [each.training for each in model.modules()]
    case.probe(criterion, blueprints=FEW)
    assert same(state, model.state_dict())
    assert same(grads, gradients(model))
    assert torch.equal(drawn, torch.get_rng_state())
    assert modes == [each.training for each in model.modules()]
    assert not any(slot._forward_hooks for slot in model)


def test_all_candidates_come_from_one_forward_a_batch(case: Case) -> None:
    calls: list[int] = []
    backwards: list[Tensor] = []
    case.model.host.register_forward_hook(lambda *_: calls.append(1))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        found = case.loss(outputs, targets)
        found.register_hook(backwards.append)
        return found

    probed = probe(
        case.model,
        [case.batch] * 3,
        loss,
        blueprints=FEW,
        operator=operator(),
        run_seed=3,
        criterion=ADAM,
    )
    kinds = [slot.site.kind for slot in case.model]
    fitting = [each for kind in kinds for each in FEW.values() if kind in each.locate().kinds]
    assert len(probed.scores) == len(fitting) > 1
    assert (len(calls), len(backwards)) == (3 + 1, 3 + 1)  # and two samples, to count FLOPs
    assert probed.samples == 3 * 12


def test_what_draws_random_numbers_is_probed_alike_every_time() -> None:
    inputs = torch.randn(8, 2, 6, 6)
    model = graft(Cnn(dropout=0.5), ["blocks.*"], inputs)
    case = Case(model, (inputs, torch.randint(3, (8,))))
    first = case.probe(blueprints=FEW)
    torch.rand(7)
    assert case.probe(blueprints=FEW) == first
    assert case.probe(blueprints=FEW, run_seed=4) != first


@pytest.mark.parametrize("stage", [Stage.TRAINING, Stage.BLENDING, Stage.FOSSILIZED])
@pytest.mark.parametrize("listens", [True, False])
def test_live_seeds_keep_their_effect_and_are_no_candidates(stage: Stage, listens: bool) -> None:
    inputs = torch.randn(8, 2, 6, 6)
    model = graft(Cnn(dropout=0.0), ["blocks.*"], inputs, listens=listens)
    slot = grow(model, "blocks.1", stage)
    case = Case(model, (inputs, torch.randint(3, (8,))))
    before = copy.deepcopy(slot.state_dict())
    probed = case.probe(SGD, blueprints=FEW)
    assert set(probed.pooled) == {"blocks.0", "blocks.2"}
    assert slot.penalty is None
    assert same(before, slot.state_dict())
    for score in probed.scores[:3]:
        grads = truly_born(_frozen(case), score.site, score.blueprint)
        whole = sum(float(grad.double().square().sum()) for grad in grads.values())
        assert score.value == pytest.approx(whole, rel=1e-5)


def _frozen(case: Case) -> Case:
    """A seed in training stays silent in a shadow pass of its neighbour."""
    twin = copy.deepcopy(case)
    for slot in twin.model.at(Stage.TRAINING):
        slot.move(Event.PRUNE)
    return twin


def test_a_host_that_cannot_learn_and_writes_in_place_is_probed_as_any_other() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    writes = nn.Sequential(nn.Linear(5, 8), InPlace(), nn.Linear(8, 3)).requires_grad_(False)
    writes.load_state_dict(plain.state_dict())
    batch = torch.randn(8, 5), torch.randint(3, (8,))
    found = [
        Case(graft(host, ["0"], batch[0]), batch).probe(SGD).scores for host in (plain, writes)
    ]
    assert found[0] == found[1]


class InPlace(nn.Module):
    """A tanh that overwrites what it reads."""

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh_()


@pytest.mark.parametrize("criterion", [ADAM, SGD, GradMax(), Natural()])
@pytest.mark.parametrize("planted", [0, 1, 2])
def test_the_slot_where_something_is_missing_comes_first(
    criterion: Criterion, planted: int
) -> None:
    """Three parallel branches add up to the target; the one without its term has the slot."""
    torch.manual_seed(0)
    inputs = torch.randn(64, 6)
    host = Branches()
    with torch.no_grad():
        targets = host(inputs)
        host.branches[planted].weight.zero_()
        host.branches[planted].bias.zero_()
    model = graft(host, ["gates.*"], inputs)
    case = Case(model, (inputs, targets), nn.functional.mse_loss)
    assert next(iter(case.probe(criterion).pooled)) == f"gates.{planted}"


class Branches(nn.Module):
    """Terms of a sum, each of features of its own; sites ``gates.0`` to ``gates.2``."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.gates = nn.ModuleList(nn.Identity() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        found = [
            gate(features) + branch(features)
            for gate, branch, features in zip(
                self.gates, self.branches, x.split(2, dim=1), strict=True
            )
        ]
        return torch.cat(found, dim=1)


def test_a_probe_inside_inference_mode_sees_the_same(case: Case) -> None:
    seen = case.probe(blueprints=FEW)
    with torch.inference_mode():
        made = tuple(each.clone() for each in case.batch)
        assert case.probe(blueprints=FEW, batches=[made]) == seen


def test_under_autocast_the_score_is_that_of_float32_to_its_precision() -> None:
    case = tokens()
    exact = {(s.site, s.blueprint): s.value for s in case.probe(blueprints=FEW).scores}
    with torch.autocast("cpu", torch.bfloat16):
        for score in case.probe(blueprints=FEW).scores:
            assert score.value == pytest.approx(exact[score.site, score.blueprint], rel=0.1)
            assert score.value != exact[score.site, score.blueprint]


def test_several_batches_score_as_their_mean_gradient() -> None:
    case = vectors()
    inputs, targets = case.batch
    halves = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    whole, cut = (case.probe(SGD, batches=it, micro_batches=1) for it in ([case.batch] * 2, halves))
    for one, other in zip(_by_name(whole), _by_name(cut), strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-4)


def test_the_bill_grows_with_samples_and_candidates_and_a_lot_is_free() -> None:
    case = vectors()
    once, twice = case.probe(), case.probe(batches=[case.batch] * 2)
    assert (once.samples, twice.samples) == (12, 24)
    assert twice.flops == 2 * once.flops
    assert 0 < case.probe(blueprints={"mlp": BLUEPRINTS["mlp"]}).flops < once.flops
    lot = case.probe(Random())
    assert (lot.flops, lot.samples) == (0, 0)
    assert len(lot.scores) == len(once.scores)


def test_a_network_without_an_empty_slot_has_no_scores() -> None:
    case = vectors()
    for slot in case.model:
        grow(case.model, slot.site.name, Stage.FOSSILIZED)
    assert case.probe() == Probe([], 0.0, 0)
    assert case.probe().pooled == {}


def test_a_slot_has_the_score_of_its_best_candidate() -> None:
    scores = [
        Score("a", "x", 1.0, 0.1, 9),
        Score("b", "x", 3.0, 0.1, 9),
        Score("a", "y", 2.0, 0, 9),
    ]
    assert list(pooled(scores).items()) == [("b", 3.0), ("a", 2.0)]


def test_what_is_no_number_comes_last() -> None:
    case = vectors()
    with torch.no_grad():
        case.model.host.layers[1][0].weight.fill_(float("nan"))  # type: ignore[union-attr,index]
    found = case.probe(Dual(optimizer="SGD"), blueprints=FEW)
    assert all(score.value != score.value for score in found.scores)
    scores = [Score("a", "x", float("nan"), 0, 9), Score("a", "y", 2.0, 0, 9)]
    assert pooled(scores) == {"a": 2.0}


def test_the_best_candidate_is_first(case: Case) -> None:
    values = [score.value for score in case.probe(blueprints=FEW).scores]
    assert values == sorted(values, reverse=True)


def test_a_blueprint_that_speaks_at_birth_is_refused() -> None:
    with pytest.raises(ValueError, match="'plain' is not the identity at birth"):
        vectors().probe(blueprints={"plain": recipe(Plain)})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"micro_batches": 0}, "micro_batches is at least 1, not 0"),
        ({"micro_batches": 1}, "at least 2 micro-batches, and 1 came"),
        ({"batches": []}, "at least one batch, and none came"),
    ],
)
def test_too_little_to_measure_is_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        vectors().probe(**options)


def test_a_network_that_is_shared_out_is_refused() -> None:
    case = vectors()
    case.model.twin = lambda: case.model
    with pytest.raises(ValueError, match="the whole network on one rank"):
        case.probe()
