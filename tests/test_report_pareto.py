"""The Pareto front, against its definition on every small set of points."""

import math
from itertools import product

import pytest

from kasmina.report.pareto import front

GRID = [(float(x), float(y)) for x, y in product(range(2), range(3))]


def dominated(point, by, mode):
    (cost, score), (other_cost, other_score) = point, by
    as_good = other_score >= score if mode == "max" else other_score <= score
    return other_cost <= cost and as_good and point != by


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_point_is_on_the_front_unless_another_dominates_it(mode):
    for points in product(GRID, repeat=3):
        wanted = [not any(dominated(it, other, mode) for other in points) for it in points]
        costs, scores = zip(*points, strict=True)
        assert front(costs, scores, mode) == wanted, points


def test_what_has_no_score_or_cost_is_on_no_front():
    assert front([1.0, math.nan, 2.0], [math.nan, 3.0, 1.0], "max") == [False, False, True]
    assert front([], [], "max") == []
