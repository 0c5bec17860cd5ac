"""Tables of a comparison: configurations, differences, runs, and what does not count."""

import pytest
from _compared import compared
from _runs import RunFolder

from kasmina.report import grids
from kasmina.report.failures import Failure
from kasmina.report.groups import group
from kasmina.report.runs import read_run
from kasmina.report.tables import Link


def column(table, name):
    return [row[table.head.index(name)] for row in table.rows]


def test_a_configuration_has_mean_spread_interval_and_its_place_on_the_front(tmp_path):
    table = grids.configurations(compared(tmp_path, {"a": [0.5, 0.7], "b": [0.5]}))
    assert table.rows[0][1:6] == (
        *("2", "60.0 ± 14.1 %", "60.0 ± 14.1 %", "59.0 ± 14.1 %"),
        "49.0 to 69.0 %",
    )
    assert column(table, "95 % interval")[1] == "-"
    assert column(table, "front") == ["both", ""]


@pytest.mark.parametrize(
    ("scores", "mode", "said"),
    [
        ([0.6, 0.71, 0.8], "max", "better"),
        ([0.6, 0.71, 0.8], "min", "worse"),
        ([0.5, 0.7, 0.6], "max", "not shown"),
        ([0.6, 0.71], "max", "not tested: too few pairs"),
        ([0.5, 0.6, 0.7], "max", "not tested: all differences are equal"),
    ],
)
def test_a_difference_has_a_verdict(tmp_path, scores, mode, said):
    values = {"a": [0.5, 0.6, 0.7], "b": scores}
    table = grids.comparisons(compared(tmp_path, values, mode=mode))
    assert column(table, "verdict") == [said]
    assert (column(table, "p") == ["-"]) == said.startswith("not tested")


def test_the_note_says_what_was_tested_and_how_often(tmp_path):
    values = {"a": [0.5, 0.6, 0.7], "b": [0.6, 0.71, 0.8], "c": [0.5, 0.7, 0.6], "d": [0.1]}
    note = grids.comparisons(compared(tmp_path, values)).note
    assert note.startswith("Test accuracy minus that of controller=a. Student's t-test")
    assert "Corrected for 2 tests by Holm's method. With fewer than 3 pairs nothing" in note


def test_a_run_links_to_its_report_where_there_is_one(tmp_path):
    made = [
        read_run(RunFolder(tmp_path / str(seed), ticks=2, seed=seed).write()) for seed in (0, 1)
    ]
    (made[0].folder / "report.html").write_text("")
    first, second = grids.runs(group(made), tmp_path).rows
    assert first[0] == Link("0", "0/report.html")
    assert second[0] == "1"


def test_places_are_relative_also_upwards(tmp_path):
    assert grids.place(tmp_path / "a" / "0", tmp_path / "b") == "../a/0"


def test_what_does_not_count_has_a_reason(tmp_path):
    failed = [Failure(tmp_path / "1", "x=1", "failed", "out of memory", seed=4)]
    failed.append(Failure(tmp_path / "2", "", "unreadable", "summary.json is no JSON"))
    assert grids.left_out(failed, tmp_path).rows == (
        ("1", "x=1", "4", "failed", "out of memory"),
        ("2", "", "-", "unreadable", "summary.json is no JSON"),
    )
