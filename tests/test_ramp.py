"""Alpha's way to its target."""

import json
from dataclasses import asdict, replace
from itertools import pairwise, product
from typing import Any

import pytest

from kasmina.ramp import CURVES, Ramp

# awkward in binary, at the borders, up, down and nowhere
ENDS = [(0.0, 1.0), (1.0, 0.0), (0.1, 0.7), (0.7, 0.1), (0.3, 0.3), (0.0, 1e-9), (1 / 3, 2 / 3)]


def path(ramp: Ramp) -> list[float]:
    alphas = [ramp.alpha]
    while not ramp.arrived:
        ramp = ramp.next()
        alphas.append(ramp.alpha)
    return alphas


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(("start", "target"), ENDS)
@pytest.mark.parametrize("ticks", [1, 2, 3, 5, 7, 64, 997])
def test_a_ramp_hits_its_ends_exactly_and_is_monotone_between(
    curve: str, start: float, target: float, ticks: int
) -> None:
    alphas = path(Ramp(curve, ticks, target, start))
    assert len(alphas) == ticks + 1
    assert (alphas[0], alphas[-1]) == (start, target)
    sign = 1 if target >= start else -1
    assert all(sign * (after - before) >= 0 for before, after in pairwise(alphas))
    assert all(min(start, target) <= alpha <= max(start, target) for alpha in alphas)


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_is_half_way_at_half_time(curve: str) -> None:
    ramp = Ramp(curve, ticks=10, done=5)
    assert ramp.alpha == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("curve", CURVES)
def test_the_way_down_mirrors_the_way_up(curve: str) -> None:
    up, down = path(Ramp(curve, 9)), path(Ramp(curve, 9, target=0.0, start=1.0))
    assert down == pytest.approx([1 - alpha for alpha in up], abs=1e-12)


def test_the_curves_differ() -> None:
    quarter = {curve: Ramp(curve, ticks=4, done=1).alpha for curve in CURVES}
    assert quarter["linear"] > quarter["cosine"] > quarter["sigmoid"] > 0


def test_a_ramp_that_has_arrived_stays() -> None:
    ramp = Ramp(ticks=2, target=0.4, done=2)
    assert ramp.next() == ramp
    assert ramp.next().alpha == 0.4


def test_a_ramp_comes_back_from_json() -> None:
    ramp = Ramp("sigmoid", ticks=7, target=0.9, start=0.1, done=3)
    assert Ramp(**json.loads(json.dumps(asdict(ramp)))) == ramp


def test_an_unknown_curve_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown ramp curve 'cosin'; did you mean 'cosine'"):
        Ramp("cosin")


@pytest.mark.parametrize("ticks", [0, -3])
def test_a_ramp_takes_a_tick(ticks: int) -> None:
    with pytest.raises(ValueError, match="at least 1 tick"):
        Ramp(ticks=ticks)


@pytest.mark.parametrize(
    ("name", "alpha"),
    list(product(("start", "target"), (-0.1, 1.1, float("nan"), float("inf")))),
)
def test_an_alpha_outside_its_range_is_refused(name: str, alpha: float) -> None:
    options: dict[str, Any] = {name: alpha}
    with pytest.raises(ValueError, match=rf"the ramp's {name} is an alpha in \[0, 1\]"):
        replace(Ramp(), **options)
