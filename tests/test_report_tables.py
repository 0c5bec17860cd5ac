"""Tables of one run."""

from _runs import Move, RunFolder, life

from kasmina.report import tables
from kasmina.report.runs import read_run
from kasmina.stage import Event


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
