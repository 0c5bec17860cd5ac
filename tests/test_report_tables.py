"""Tables: decisions, configurations, runs, and the runs that do not count."""

import csv

from _runs import Move, RunFolder, life

from kasmina.report import tables
from kasmina.report.groups import group
from kasmina.report.runs import read_run
from kasmina.report.sheet import HEAD, write_sheet
from kasmina.report.tables import Link
from kasmina.stage import Event


def runs(folder, statuses):
    return [
        read_run(RunFolder(folder / str(seed), ticks=2, seed=seed, status=status).write())
        for seed, status in enumerate(statuses)
    ]


def test_a_decision_is_told_with_its_reason_and_numbers(tmp_path):
    numbers = {"harm": 0.0214, "age": 3.0}
    moves = [
        Move(1, "stages.0", Event.GERMINATE, "se", reason="a plateau"),
        Move(4, "stages.0", Event.PRUNE, by="pruning", reason="harms", numbers=numbers),
    ]
    folder = RunFolder(tmp_path, ticks=6, ticks_per_epoch=2, moves=moves).write()
    _, row = tables.decisions(read_run(folder)).rows
    assert row == (
        *("4", "2", "stages.0", "germinated → pruned", "se", "0", "pruning", "harms"),
        "harm 0.0214, age 3",
    )


def test_of_very_many_decisions_the_first_and_the_last_are_shown(tmp_path):
    moves = [move for start in range(2, 980, 16) for move in life("s", "se", start, keep=False)]
    run = read_run(RunFolder(tmp_path, ticks=1000, sites=("s",), moves=moves[:-7]).write())
    table = tables.decisions(run)
    assert table.note.startswith(f"{len(run.events) - 400} decisions in the middle are left out")
    assert len(table.rows) == 400
    assert table.rows[0][0] == str(run.events[0].when.tick)
    assert table.rows[-1][0] == str(run.events[-1].when.tick)


def test_a_configuration_has_mean_and_spread(tmp_path):
    values = ([0.5], [0.7])
    made = [
        read_run(
            RunFolder(
                tmp_path / str(seed), ticks=1, seed=seed, values={"val/accuracy": value}
            ).write()
        )
        for seed, value in enumerate(values)
    ]
    (row,) = tables.configurations(group(made)).rows
    assert row[1:5] == ("2", "60.0 ± 14.1 %", "60.0 ± 14.1 %", "59.0 ± 14.1 %")


def test_a_run_links_to_its_report_where_there_is_one(tmp_path):
    made = runs(tmp_path, ["finished", "finished"])
    (made[0].folder / "report.html").write_text("")
    first, second = tables.runs(group(made), tmp_path).rows
    assert first[0] == Link("0", "0/report.html")
    assert second[0] == "1"


def test_places_are_relative_also_upwards(tmp_path):
    assert tables.place(tmp_path / "a" / "0", tmp_path / "b") == "../a/0"


def test_runs_that_do_not_count_have_a_reason(tmp_path):
    made = runs(tmp_path, ["finished", "diverged"])
    faults = {tmp_path / "2": "summary.json is no JSON"}
    one, two = tables.left_out(group(made), faults, tmp_path).rows
    assert one == ("1", "experiment=digits_grow", "diverged", "diverged after 2 epochs, 40 steps")
    assert two == ("2", "", "unreadable", "summary.json is no JSON")


def test_the_sheet_has_every_run_in_plain_numbers(tmp_path):
    made = runs(tmp_path, ["finished", "diverged", None])
    write_sheet(tmp_path / "runs.csv", group(made), {tmp_path / "x": "broken"})
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished", "diverged", "unfinished", "unreadable"]
    assert set(rows[0]) == set(HEAD)
    assert float(rows[0]["best"]) == made[0].summary.score.best.value
    assert float(rows[0]["flops"]) == made[0].summary.spent.flops
    assert rows[3] == {**dict.fromkeys(HEAD, ""), "run": "x", "status": "unreadable"} | {
        "reason": "broken"
    }
