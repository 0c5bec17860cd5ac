"""Intervals and tests: laws that hold exactly, and scipy where it has the same."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kasmina.report import stats
from kasmina.report.stats import NONE, Interval

NAN = math.nan


@pytest.mark.parametrize("values", [[], [1.0], [NAN, 2.0], [math.inf, 2.0]])
def test_of_fewer_than_two_values_there_is_no_interval(values):
    found = stats.interval(values)
    assert not found
    assert math.isnan(found.low)


@pytest.mark.parametrize("number", [2, 3, 4, 5, 9, 30])
def test_an_interval_holds_the_mean_and_stays_within_the_values(number):
    values = np.random.default_rng(number).normal(size=number)
    found = stats.interval(values)
    assert values.min() <= found.low < values.mean() < found.high <= values.max()
    assert stats.interval(values) == found


@pytest.mark.parametrize("number", [2, 3, 7])
def test_equal_values_have_an_interval_of_no_width(number):
    assert stats.interval([0.25] * number) == Interval(0.25, 0.25)


@pytest.mark.parametrize("number", [2, 6])
def test_an_interval_moves_and_grows_with_its_values(number):
    values = np.random.default_rng(3).integers(0, 64, number) / 8
    plain, moved = stats.interval(values), stats.interval(2 * values + 1)
    assert moved.low == pytest.approx(2 * plain.low + 1)
    assert moved.high == pytest.approx(2 * plain.high + 1)


def test_a_band_is_at_each_point_the_interval_that_scipy_gives():
    curves = np.random.default_rng(0).normal(size=(6, 4))
    low, high = stats.band(curves)
    for at, column in enumerate(curves.T):
        wanted = scipy_stats.bootstrap(
            (column,), np.mean, method="percentile", rng=np.random.default_rng(0)
        ).confidence_interval
        assert low[at] == pytest.approx(wanted.low, abs=0.06)
        assert high[at] == pytest.approx(wanted.high, abs=0.06)


def test_the_band_of_one_curve_is_the_curve():
    low, high = stats.band(np.array([[1.0, 2.0]]))
    assert low.tolist() == high.tolist() == [1.0, 2.0]


def test_a_paired_test_is_the_one_of_scipy_on_the_pairs():
    one, other = np.random.default_rng(1).normal(size=(2, 5))
    wanted = scipy_stats.ttest_rel(one, other).pvalue
    assert stats.paired(list(one - other)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("differences", [[], [1.0], [1.0, 2.0], [0.0] * 4, [0.1] * 4])
def test_too_few_pairs_and_equal_differences_are_not_tested(differences):
    assert math.isnan(stats.paired(differences))


@pytest.mark.parametrize(
    ("values", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.03, NAN, 0.02], [0.04, NAN, 0.04]),
        ([0.9, 0.8], [1.0, 1.0]),
    ],
)
def test_holm_multiplies_by_what_is_left_and_never_falls(values, corrected):
    """By hand: of 0.01, 0.03, 0.04 the factors are 3, 2, 1, and 0.04 may not be below 0.06."""
    np.testing.assert_allclose(stats.holm(values), corrected, rtol=1e-12)


def test_no_interval_is_false_and_one_at_zero_is_true():
    assert not NONE
    assert Interval(0.0, 0.0)
