"""Mean curves, and the bands that they lie in."""

import math

import numpy as np
import pytest

from kasmina.report.bands import band

NAN = math.nan


def test_a_band_is_drawn_where_all_curves_have_points():
    x, mean, low, high = band([([1, 2, 3], [1.0, 2.0, 3.0]), ([2, 4], [4.0, 6.0])])
    assert (x[0], x[-1]) == (2, 3)
    np.testing.assert_allclose(mean, 3 + 1.0 * (x - 2))
    np.testing.assert_allclose(low, x)
    np.testing.assert_allclose(high, x + 2)


@pytest.mark.parametrize(
    ("runs", "points"),
    [([([1], [2.0])], 1), ([([1, 2], [NAN, 2.0]), ([1], [NAN])], 1), ([([1], [NAN])], 0)],
)
def test_a_band_passes_over_what_is_not_finite(runs, points):
    x, mean, low, high = band(runs)
    assert len(x) == len(mean) == len(low) == len(high) == points
    assert low.tolist() == mean.tolist() == high.tolist()
