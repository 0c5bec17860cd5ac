"""A run without summary.json says of itself what the rest of the record knows."""

import pytest
from _runs import RunFolder, life

from kasmina.report.records import Goal
from kasmina.report.runs import read_run
from kasmina.report.unfinished import estimate_goal

MOVES = [*life("stages.1", "conv_heavy", 1), *life("stages.0", "norm", 2, keep=False)]


def pair(tmp_path, **options):
    """The same run with its summary and without."""
    whole = read_run(RunFolder(tmp_path / "a", **options).write())
    part = read_run(RunFolder(tmp_path / "b", status=None, **options).write())
    return whole.summary, part.summary


@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("val/bpc", "min")])
def test_the_estimate_agrees_with_the_summary_that_comes_later(tmp_path, monitor, mode):
    whole, part = pair(tmp_path, ticks=20, moves=MOVES, monitor=monitor, mode=mode)
    assert part.labels.status == "unfinished"
    assert part.goal == whole.goal
    assert part.score.best == whole.score.best
    assert part.score.final == whole.score.final
    assert part.seeds == whole.seeds
    assert part.spent == whole.spent
    assert part.parameters == whole.parameters


def test_the_bill_of_an_unfinished_run_knows_three_parts(tmp_path):
    run = read_run(RunFolder(tmp_path, ticks=20, moves=MOVES, status=None).write())
    flops = dict(run.ledger.flops)
    assert flops.pop("total") == pytest.approx(sum(flops.values()))
    assert set(flops) == {"main", "incubation", "evaluation"}


def test_without_a_validation_nothing_is_made_up(tmp_path):
    folder = RunFolder(tmp_path, ticks=1, status=None).write()
    path = folder / "metrics.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    summary = read_run(folder).summary
    assert summary.score.best is None
    assert summary.spent.epochs == 0
    assert estimate_goal(()) == Goal("val/loss", "min")
