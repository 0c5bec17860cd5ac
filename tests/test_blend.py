"""How host and seed become one."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from toys import OPERATORS, operator

from kasmina.blend import Add, Gate, Multiply, host_value, seed_value
from kasmina.site import KINDS, Kind, Site

SHAPES: dict[Kind, tuple[int, ...]] = {"map": (2, 3, 4, 5), "sequence": (2, 4, 3), "vector": (2, 3)}
VALUES = [1.5, float("inf"), -float("inf"), float("nan")]
ALPHAS = [0.0, 0.1, 0.5, 0.9, 1.0]
EVERY_KIND = list(product(OPERATORS, KINDS))


def blender(name: str, kind: Kind, dtype: torch.dtype = torch.float32) -> nn.Module:
    """An operator whose gate, where it has one, is not the newborn one."""
    made: nn.Module = operator(name).build(Site.of("here", SHAPES[kind]))
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made.to(dtype)


def features(kind: Kind, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPES[kind]).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "kind"), EVERY_KIND)
def test_at_alpha_0_the_host_comes_back_bit_for_bit(
    name: str, kind: Kind, value: float, dtype: torch.dtype
) -> None:
    h = features(kind, dtype)
    mixed = blender(name, kind, dtype)(h, torch.full_like(h, value), torch.zeros((), dtype=dtype))
    assert mixed.dtype == dtype
    assert torch.equal(mixed, h)


@pytest.mark.parametrize(("name", "kind"), EVERY_KIND)
def test_at_alpha_0_the_host_has_the_gradient_of_no_seed_and_the_seed_none(
    name: str, kind: Kind
) -> None:
    h, z, flow = (features(kind).requires_grad_(i < 2) for i in range(3))
    blender(name, kind)(h, z, torch.zeros(())).backward(flow)
    assert h.grad is not None
    assert torch.equal(h.grad, flow)
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("name", "kind"), EVERY_KIND)
def test_a_seed_that_says_nothing_new_changes_nothing_at_any_alpha(
    name: str, kind: Kind, alpha: float
) -> None:
    h = features(kind)
    assert torch.equal(blender(name, kind)(h, h.clone(), torch.tensor(alpha)), h)


@pytest.mark.parametrize("kind", KINDS)
def test_add_at_alpha_1_is_the_seed_bit_for_bit(kind: Kind) -> None:
    h, z = features(kind), features(kind)
    assert torch.equal(blender("Add", kind)(h, z, torch.ones(())), z)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_operator_computes_its_formula(kind: Kind, alpha: float) -> None:
    h, z = features(kind).double(), features(kind).double()
    site, weight = Site.of("here", SHAPES[kind]), torch.tensor(alpha).double()
    gate = Gate(site).double()
    nn.init.normal_(gate.score.weight)
    torch.testing.assert_close(Add(site)(h, z, weight), h + weight * (z - h))
    torch.testing.assert_close(Multiply(site)(h, z, weight), h * (1 + weight * torch.tanh(z - h)))
    opened = gate.openness(h)
    torch.testing.assert_close(gate(h, z, weight), h + weight * opened * (z - h))


@pytest.mark.parametrize("kind", KINDS)
def test_multiply_is_bounded_by_twice_the_host(kind: Kind) -> None:
    h = features(kind)
    for value in (1e30, -1e30, float("inf"), -float("inf")):
        mixed = blender("Multiply", kind)(h, torch.full_like(h, value), torch.ones(()))
        assert bool((mixed.abs() <= 2 * h.abs()).all())


@pytest.mark.parametrize(
    ("kind", "shape"), [("map", (2, 1, 1, 1)), ("sequence", (2, 4, 1)), ("vector", (2, 1))]
)
def test_the_gate_opens_a_sample_or_a_token_at_a_time(kind: Kind, shape: tuple[int, ...]) -> None:
    gate = blender("Gate", kind)
    assert isinstance(gate, Gate)
    opened = gate.openness(features(kind))
    assert opened.shape == shape
    assert bool(((opened > 0) & (opened < 1)).all())
    assert opened.unique().numel() == opened.numel()


def test_the_gate_of_a_token_does_not_see_the_others() -> None:
    gate, h, z = blender("Gate", "sequence"), features("sequence"), features("sequence")
    before = gate(h, z, torch.ones(()))
    h[:, 2:] += 1
    assert torch.equal(gate(h, z, torch.ones(()))[:, :2], before[:, :2])


def test_a_newborn_gate_is_open_and_learns() -> None:
    gate = Gate(Site.of("here", SHAPES["vector"]))
    h, z = features("vector"), features("vector")
    assert bool((gate.openness(h) > 0.8).all())
    gate(h, z, torch.tensor(0.5)).square().sum().backward()
    for parameter in gate.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.abs().sum() > 1e-3)


@pytest.mark.parametrize("value", VALUES)
def test_the_hosts_value_goes_forward_and_the_gradient_to_both(value: float) -> None:
    h, flow = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3)
    z = torch.full((2, 3), value, requires_grad=True)
    out = host_value(h, z)
    out.backward(flow)
    assert torch.equal(out, h)
    assert h.grad is not None
    assert z.grad is not None
    assert torch.equal(h.grad, flow)
    assert torch.equal(z.grad, flow)


def test_the_seeds_value_goes_forward_and_the_gradient_to_both() -> None:
    h, z = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    flow = torch.randn(2, 3)
    out = seed_value(h, z)
    out.backward(flow)
    assert torch.equal(out, z)
    assert h.grad is not None
    assert z.grad is not None
    assert torch.equal(h.grad, flow)
    assert torch.equal(z.grad, flow)


@pytest.mark.parametrize("through", [host_value, seed_value])
def test_straight_through_keeps_the_dtype_of_each_side(through: type) -> None:
    h = torch.randn(2, 3, dtype=torch.bfloat16, requires_grad=True)
    z = torch.randn(2, 3, requires_grad=True)
    out = through(h, z)
    out.sum().backward()
    assert out.dtype == h.dtype
    assert h.grad is not None
    assert z.grad is not None
    assert (h.grad.dtype, z.grad.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("through", [host_value, seed_value])
def test_a_host_that_writes_into_a_straight_through_value_is_told(through: type) -> None:
    h, z = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        through(h, z).relu_()
