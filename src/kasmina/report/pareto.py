"""What no other beats in both: the Pareto front of scores against costs."""

import math
from collections.abc import Sequence


def front(costs: Sequence[float], scores: Sequence[float], mode: str) -> list[bool]:
    """Which points no other dominates: none is better at no more cost, or cheaper and as good.

    Args:
        costs: lower is better.
        scores: ``max`` or ``min`` is better, as ``mode`` says. A point with a nan is on no front.

    Returns:
        One truth a point; equal points are on the front together.
    """
    sign = 1.0 if mode == "min" else -1.0
    points = [(cost, sign * score) for cost, score in zip(costs, scores, strict=True)]
    known = sorted(point for point in set(points) if not any(map(math.isnan, point)))
    chosen, best = set(), math.inf
    for point in known:
        if point[1] < best:
            chosen.add(point)
            best = point[1]
    return [point in chosen for point in points]
