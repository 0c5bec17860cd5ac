"""Numbers as people read them."""

import math

import pytest

from kasmina.report import units

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0 FLOP"), (5, "5.00 FLOP"), (1.5e6, "1.50 MFLOP"), (1.234e10, "12.3 GFLOP")),
        *((2e12, "2.00 TFLOP"), (4e15, "4.00 PFLOP"), (5e18, "5.00 EFLOP"), (NAN, "-")),
    ],
)
def test_flops_take_the_unit_that_suits_them(value, text):
    assert units.flops(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(774, "774"), (4340, "4,340"), (1.234e6, "1.23 M"), (7e9, "7.00 B")]
)
def test_counts_are_exact_below_a_million(value, text):
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.24, "0.2 s"),
        (41.4, "41 s"),
        (59.97, "1 min 0 s"),
        (192, "3 min 12 s"),
        (7320, "2 h 2 min"),
    ],
)
def test_seconds_grow_into_minutes_and_hours(value, text):
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (1e-5, "< 0.1 %"), (0.056, "5.6 %"), (0.42, "42 %"), (NAN, "-")],
)
def test_small_shares_keep_a_decimal(share, text):
    assert units.percent(share) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("val/accuracy", 0.9566, "95.7 %"),
        ("val/accuracy", 95.66, "95.66"),  # somebody logs percent: leave it
        ("val/bpc", 2.23456, "2.235"),
        ("val/loss", NAN, "-"),
        ("val/loss", math.inf, "inf"),
    ],
)
def test_shares_read_as_percent_and_other_metrics_as_they_are(name, value, text):
    assert units.metric(name, value) == text


def test_a_difference_of_shares_is_in_points():
    assert units.change("val/accuracy", -0.17) == "17.0 points"
    assert units.change("val/bpc", -0.123) == "0.123"


def test_a_spread_of_one_run_is_left_out():
    assert units.spread("val/accuracy", 0.957, 0.004) == "95.7 ± 0.4 %"
    assert units.spread("val/accuracy", 0.957, NAN) == "95.7 %"
    assert units.spread("val/bpc", 2.2, 0.013) == "2.200 ± 0.013"
    assert units.spread("val/bpc", NAN, NAN) == "-"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val/accuracy", "validation accuracy"),
        ("val/bpc", "validation bits per character"),
        ("train/seed_loss", "training seed loss"),
        ("loss", "loss"),
    ],
)
def test_metric_names_are_said_in_words(name, text):
    assert units.label(name) == text


def test_long_texts_lose_their_middle():
    assert units.shorten("abc", 3) == "abc"
    assert units.shorten("abcdefghij", 5) == "ab…ij"


@pytest.mark.parametrize(
    ("value", "text"), [(12.0, "12"), (0.25, "0.25"), (12345.5, "12,345.5"), (10.0, "10")]
)
def test_epochs_show_hundredths_only_where_needed(value, text):
    assert units.epoch(value) == text


@pytest.mark.parametrize(("value", "text"), [(4.0, "4"), (0.02123, "0.0212"), (math.inf, "inf")])
def test_whole_numbers_stay_whole(value, text):
    assert units.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012, "+1.2 points"), (-0.2, "-20.0 points"), (0.0, "0.0 points"), (NAN, "-")],
)
def test_a_difference_has_a_sign(value, text):
    assert units.signed("val/accuracy", value) == text


@pytest.mark.parametrize(
    ("ends", "options", "text"),
    [
        ((0.951, 0.963), {}, "95.1 to 96.3 %"),
        ((-0.004, 0.012), {"signed": True}, "-0.4 to +1.2 points"),
        ((-0.0001, 0.0), {"signed": True}, "0.0 to 0.0 points"),
        ((NAN, 0.1), {}, "-"),
    ],
)
def test_an_interval_has_two_ends_and_one_unit(ends, options, text):
    assert units.interval("val/accuracy", *ends, **options) == text


def test_an_interval_of_a_loss_has_no_unit():
    assert units.interval("val/loss", 1.25, 1.5) == "1.250 to 1.500"
    assert units.interval("val/loss", -0.5, 1.5, signed=True) == "-0.5000 to +1.500"


@pytest.mark.parametrize(
    ("value", "text"), [(NAN, "-"), (3e-5, "< 0.0001"), (0.0312, "0.031"), (1.0, "1.0")]
)
def test_a_probability_has_two_digits(value, text):
    assert units.probability(value) == text
