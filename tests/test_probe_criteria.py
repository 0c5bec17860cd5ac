"""Criteria against their formulas."""

from math import sqrt

import pytest
import torch
from test_probe import BLUEPRINTS, SGD, Case, images, tokens, vectors
from torch import nn

from kasmina.graft import graft
from kasmina.hosts.convnet import ConvNet
from kasmina.probe.dual import NORMS, Dual
from kasmina.probe.evidence import Curvature, Evidence, Layer
from kasmina.probe.gradmax import GradMax
from kasmina.probe.lot import Random
from kasmina.probe.natural import Natural

ROUNDING = 1e-4


def evidence(**gradients: torch.Tensor) -> Evidence:
    layer = Layer({name: each[None] for name, each in gradients.items()})
    return Evidence("a", "b", births=0, estimates=1, layers=(layer,))


@pytest.mark.parametrize("name", NORMS)
def test_the_first_step_takes_off_what_the_dual_norm_says(name: str) -> None:
    """Of a linear loss, to first order in eps: the drop in units of learning rate."""
    gradient = torch.tensor([0.5, -2.0, 0.25])
    weights = nn.Parameter(torch.zeros(3))
    optimizer = getattr(torch.optim, name)([weights], lr=1e-3)
    optimizer.zero_grad()
    (weights * gradient).sum().backward()
    optimizer.step()
    drops = -(weights.detach() * gradient) / gradient.abs()  # a step a weight, towards its fall
    (score,) = Dual(optimizer=f"torch.optim.{name}").score(evidence(weight=gradient))
    drop = -float((weights.detach() * gradient).sum())
    expected = gradient.square().sum() if NORMS[name] == "l2_squared" else gradient.abs().sum()
    assert float(score) == pytest.approx(float(expected))
    along = drops / gradient.abs() if NORMS[name] == "l2_squared" else drops
    assert along.max() == pytest.approx(float(along.min()), rel=1e-3)
    assert drop == pytest.approx(float(score) * float(along[0]), rel=1e-3)


def test_an_optimizer_of_unknown_norm_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown optimizer of the dual criterion 'AdamV'; did"):
        Dual(optimizer="torch.optim.AdamV")


@pytest.mark.parametrize("case", [images(), tokens(), vectors()], ids=["map", "sequence", "vector"])
def test_with_all_units_gradmax_is_the_squared_norm(case: Case) -> None:
    """The squared singular values of any layer add up to its squared Frobenius norm."""
    expected = {(s.site, s.blueprint): s.value for s in case.probe(SGD).scores}
    for score in case.probe(GradMax(units=10**6)).scores:
        assert score.value == pytest.approx(expected[score.site, score.blueprint], rel=ROUNDING)


def test_gradmax_takes_the_largest_singular_values_of_weight_and_bias() -> None:
    torch.manual_seed(0)
    kernel, bias = torch.randn(4, 3, 2, 2), torch.randn(4)
    values = torch.linalg.svdvals(torch.cat([kernel.flatten(1), bias[:, None]], dim=1))
    (score,) = GradMax(units=2).score(evidence(weight=kernel, bias=bias))
    assert float(score) == pytest.approx(float(values[:2].square().sum()), rel=ROUNDING)


def test_a_factor_for_each_channel_has_its_magnitudes_as_singular_values() -> None:
    (score,) = GradMax(units=2).score(evidence(weight=torch.tensor([3.0, -4.0, 1.0])))
    assert float(score) == pytest.approx(25.0)


def test_natural_is_the_gradient_in_the_inverse_of_the_damped_kronecker_product() -> None:
    torch.manual_seed(0)
    gradient, damping = torch.randn(3, 4), 0.1
    outputs, inputs = (each @ each.T for each in (torch.randn(3, 5), torch.randn(4, 6)))
    layer = Layer({"weight": gradient[None]}, Curvature(inputs, outputs))
    seen = Evidence("a", "b", births=0, estimates=1, layers=(layer,))
    damped = [
        each + sqrt(damping) * each.diagonal().mean() * torch.eye(len(each))
        for each in (outputs, inputs)
    ]
    flat = gradient.flatten()
    expected = flat @ torch.linalg.solve(torch.kron(*damped), flat)
    (score,) = Natural(damping=damping).score(seen)
    assert float(score) == pytest.approx(float(expected), rel=ROUNDING)


@pytest.mark.parametrize(
    ("name", "inputs", "width"), [("conv_light", 9 * 8 + 1, 8), ("bottleneck", 4 + 1, 8)]
)
def test_of_one_sample_natural_knows_nothing_but_the_shape(
    name: str, inputs: int, width: int
) -> None:
    """g = s a^T and F = s s^T (x) a a^T: each damped factor leaves 1 / (1 + sqrt(damping) / size).

    It holds only where inputs and gradients of a convolution lie in the same order and are those
    of a sample's own loss.
    """
    torch.manual_seed(0)
    host = ConvNet(in_channels=3, num_classes=4, widths=(width,), norm="group")
    twice = torch.randn(1, 3, 2, 2).expand(2, 3, 2, 2), torch.zeros(2, dtype=torch.long)
    case = Case(graft(host, ["stages.0"], twice[0]), twice)
    (score,) = case.probe(Natural(damping=0.04), blueprints={name: BLUEPRINTS[name]}).scores
    expected = 1 / ((1 + 0.2 / inputs) * (1 + 0.2 / width))
    assert score.value == pytest.approx(expected, rel=1e-3)
    assert score.error == pytest.approx(0, abs=1e-6)


def test_natural_of_a_factor_for_each_channel_is_diagonal() -> None:
    gradient, squares = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 6.0])
    layer = Layer({"weight": gradient[None]}, Curvature(squares={"weight": squares}))
    seen = Evidence("a", "b", births=0, estimates=1, layers=(layer,))
    (score,) = Natural(damping=0.5).score(seen)
    assert float(score) == pytest.approx(1 / 4 + 4 / 8)


def test_the_lot_is_the_same_for_the_same_birth_and_another_for_any_other() -> None:
    case = vectors()
    first, again, other = (case.probe(Random(seed=seed)).scores for seed in (0, 0, 1))
    assert first == again
    assert [s.value for s in first] != [s.value for s in other]
    assert len({score.value for score in first}) == len(first)
    assert all(0 <= score.value < 1 and score.error == 0 for score in first)
    seen = Evidence("a", "b", births=0, estimates=1)
    later = Evidence("a", "b", births=1, estimates=1)
    assert Random().score(seen) != Random().score(later)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: GradMax(units=0), "at least 1 unit, not 0"),
        (lambda: Natural(damping=0.0), "damping is above 0, not 0.0"),
    ],
)
def test_wrong_options_are_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
