"""The opening paragraphs over several runs rank them, and say how far to believe it."""

import pytest
from _compared import runs
from _runs import RunFolder

from kasmina.report.compared import compare
from kasmina.report.failures import Failure
from kasmina.report.groups import group
from kasmina.report.runs import read_run
from kasmina.report.verdict import comparing


def told(made, failed=()):
    groups = group(made)
    return comparing(groups, compare(groups), failed)


def said(*arguments, **options):
    return " ".join(told(runs(*arguments, **options)))


def test_the_better_mean_is_first(tmp_path):
    text = said(tmp_path, {"none": [0.70, 0.71, 0.72], "biggest": [0.90, 0.91, 0.93]})
    assert "6 runs of 2 configurations." in text
    assert "By test accuracy the first is controller=biggest with 90.3 ± 1.5 % (n = 3;" in text
    assert "They are 20.3 points apart." in text


@pytest.mark.parametrize(
    ("values", "part"),
    [
        (
            {"a": [0.5, 0.6, 0.7, 0.55], "b": [0.6, 0.72, 0.8, 0.66]},
            "Paired by seed with controller=a: controller=b: +10.8 points, better (95 % interval "
            "+10.0 to +11.5 points; n = 4; corrected p = 0.00019).",
        ),
        (
            {"a": [0.5, 0.6, 0.7], "b": [0.4, 0.49, 0.6]},
            "controller=b: -10.3 points, worse (",
        ),
        (
            {"a": [0.7, 0.8, 0.9], "b": [0.72, 0.79, 0.93]},
            "no difference is shown. The clearest is controller=b: +1.3 points (95 % interval",
        ),
        ({"a": [0.7, 0.71], "b": [0.9, 0.92]}, "Nothing is tested: that takes 3 pairs"),
        ({"a": [0.1, 0.2, 0.4], "b": [0.1, 0.2, 0.4]}, "controller=b: 0.0 points (n = 3). Nothing"),
    ],
)
def test_pairs_tell_what_a_difference_is_worth(tmp_path, values, part):
    text = said(tmp_path, values)
    assert part in text
    assert "standard deviation over seeds" not in text


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"a": [0.7, 0.9], "b": {5: 0.72, 6: 0.92}}, "within one standard deviation over seeds"),
        ({"a": [0.7, 0.71], "b": {5: 0.9, 6: 0.91}}, "so few seeds make this a hint, no proof"),
        ({"a": [0.7], "b": {5: 0.9}}, "the spread is unknown, so this order may be chance"),
        ({"a": [0.7]}, "By test accuracy the first is"),
    ],
)
def test_without_pairs_weak_evidence_is_called_weak(tmp_path, values, part):
    text = said(tmp_path, values)
    assert part in text
    assert "Paired" not in text


def test_of_many_differences_the_best_are_told(tmp_path):
    values = {name: [0.5 + at / 10, 0.61 + at / 10, 0.7 + at / 9] for at, name in enumerate("abcd")}
    values |= {f"e{at}": [0.1, 0.2, 0.31] for at in range(3)}
    text = said(tmp_path, values)
    first, second = text.index("controller=d: +"), text.index("controller=c: +")
    assert first < second
    assert "The table has 2 others." in text


def test_lower_is_first_where_lower_is_better(tmp_path):
    values = {"a": [2.0, 2.1, 2.2], "b": [1.5, 1.61, 1.7]}
    text = said(tmp_path, values, monitor="val/bpc", mode="min", test=False)
    assert "By best validation bits per character the first is controller=b" in text
    assert "controller=b: -0.497, better" in text
    assert "it flatters" in text


def test_runs_that_do_not_count_are_counted(tmp_path):
    failed = [Failure(tmp_path, "a", "diverged", "nan"), Failure(tmp_path, "", "unreadable", "x")]
    (text, _) = told(runs(tmp_path, {"a": [0.5, 0.6]}), failed)
    assert text.startswith(
        "4 runs of 1 configuration. 2 finished and count; 2 did not and stand in a table."
    )


def test_with_nothing_finished_nothing_is_compared(tmp_path):
    made = [read_run(RunFolder(tmp_path, ticks=1, status="failed").write())]
    assert told(made)[0].endswith("None can be compared.")


def test_different_metrics_are_not_compared(tmp_path):
    made = [
        *runs(tmp_path / "a", {"a": [0.5]}),
        *runs(tmp_path / "b", {"b": [1.5]}, monitor="val/bpc", mode="min"),
    ]
    text = " ".join(told(made))
    assert "judged by different metrics" in text
    assert "controller=b" not in text


def test_speed_is_told_in_seconds(tmp_path):
    groups = group(runs(tmp_path, {"a": [0.5], "b": [0.6]}))
    text = " ".join(comparing(groups, compare(groups, measure="seconds_per_step"), []))
    assert "By seconds a step the first is controller=a with 0.04500 (n = 1;" in text
    assert "Seconds count growth and validation" in text
