"""Errors and biases, against laws that hold exactly."""

import pytest
import torch

from kasmina.probe.jackknife import estimates, summary


def drawn(count: int = 6, weights: int = 5) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(count, weights, dtype=torch.float64) + 0.3


def equal(count: int = 6) -> torch.Tensor:
    return torch.full((count,), 8)


def test_without_a_micro_batch_is_the_mean_of_the_others() -> None:
    gradients, sizes = drawn(3), torch.tensor([1, 2, 5])
    found = estimates(gradients, sizes)
    assert torch.allclose(found[0], (gradients * sizes[:, None]).sum(0) / 8)
    assert torch.allclose(found[1], (2 * gradients[1] + 5 * gradients[2]) / 7)
    assert torch.allclose(found[3], (gradients[0] + 2 * gradients[1]) / 3)


def test_a_squared_norm_without_its_bias_is_the_mean_product_of_different_micro_batches() -> None:
    """Which is unbiased: two different micro-batches are independent."""
    gradients = drawn()
    value, _, bias = summary(estimates(gradients, equal()).square().sum(1))
    products = gradients @ gradients.T
    apart = (products.sum() - products.trace()) / 30
    assert value - bias == pytest.approx(float(apart))


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    gradients = drawn(weights=1)
    _, error, bias = summary(estimates(gradients, equal())[:, 0])
    assert error == pytest.approx(float(gradients.std() / 6**0.5))
    assert bias == pytest.approx(0, abs=1e-12)


def test_micro_batches_that_agree_leave_no_error_and_no_bias() -> None:
    same = drawn(1).repeat(4, 1)
    _, error, bias = summary(estimates(same, equal(4)).abs().sum(1))
    assert (error, bias) == pytest.approx((0, 0), abs=1e-12)


def test_where_nothing_was_left_out_nothing_is_said() -> None:
    assert summary(torch.tensor([0.5])) == (0.5, 0, 0)
