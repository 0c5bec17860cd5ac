"""The opening paragraph over several runs ranks them, and says how far to believe it."""

import pytest
from _runs import RunFolder

from kasmina.report.groups import group
from kasmina.report.runs import read_run
from kasmina.report.verdict import comparing


def runs(folder, values, **options):
    """A configuration a key, a run a value of the final metric."""
    found = []
    for name, finals in values.items():
        for seed, value in enumerate(finals):
            made = RunFolder(
                folder / f"{name}{seed}",
                ticks=1,
                seed=seed,
                overrides=(f"controller={name}", f"seed={seed}"),
                values={options.get("monitor", "val/accuracy"): [value]},
                **options,
            )
            found.append(read_run(made.write()))
    return found


def said(*arguments, **options):
    return " ".join(comparing(group(runs(*arguments, **options)), {}))


def test_the_better_mean_is_first_and_a_wide_gap_is_counted(tmp_path):
    text = said(tmp_path, {"none": [0.70, 0.71, 0.72], "biggest": [0.90, 0.91, 0.92]})
    assert "6 runs of 2 configurations." in text
    assert "By test accuracy the first is controller=biggest with 90.0 ± 1.0 % (n = 3;" in text
    assert "They are 20.0 points apart, 20 standard deviations over seeds." in text


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"a": [0.7, 0.9], "b": [0.72, 0.92]}, "within one standard deviation over seeds"),
        ({"a": [0.7, 0.71], "b": [0.9, 0.91]}, "so few seeds make this a hint, no proof"),
        ({"a": [0.7], "b": [0.9]}, "the spread is unknown, so this order may be chance"),
        ({"a": [0.7]}, "By test accuracy the first is"),
    ],
)
def test_weak_evidence_is_called_weak(tmp_path, values, part):
    assert part in said(tmp_path, values)


def test_lower_is_first_where_lower_is_better(tmp_path):
    values = {"a": [2.0, 2.1], "b": [1.5, 1.6]}
    text = said(tmp_path, values, monitor="val/bpc", mode="min", test=False)
    assert "By best validation bits per character the first is controller=b" in text
    assert "it flatters" in text


def test_runs_that_do_not_count_are_counted(tmp_path):
    made = runs(tmp_path, {"a": [0.5, 0.6]})
    made.append(read_run(RunFolder(tmp_path / "x", ticks=1, seed=7, status="diverged").write()))
    (text, _) = comparing(group(made), {tmp_path / "y": "summary.json is no JSON"})
    assert text.startswith("4 runs of 2 configurations. 2 finished and count; 2 did not")


def test_with_nothing_finished_nothing_is_compared(tmp_path):
    made = [read_run(RunFolder(tmp_path, ticks=1, status="failed").write())]
    assert comparing(group(made), {})[0].endswith("None can be compared.")


def test_different_metrics_are_not_compared(tmp_path):
    made = [
        *runs(tmp_path / "a", {"a": [0.5]}),
        *runs(tmp_path / "b", {"b": [1.5]}, monitor="val/bpc", mode="min"),
    ]
    text = " ".join(comparing(group(made), {}))
    assert "judged by different metrics" in text
    assert "controller=b" not in text
