"""Run folders: found, read back as written, or refused in one line."""

import json

import pytest
from _runs import Move, RunFolder, life

from kasmina.report.parse import RunError
from kasmina.report.runs import find_runs, is_run, read_run, read_runs
from kasmina.stage import Event, Stage

GROWN = life("stages.1", "conv_heavy", 2)
FILES = (
    *("config.yaml", "environment.json", "metrics.csv", "timeline.csv"),
    *("events.jsonl", "ledger.json"),
)


def test_a_run_reads_back_as_it_was_written(tmp_path):
    run = read_run(RunFolder(tmp_path, ticks=15, moves=GROWN).write())
    assert len(run.metrics) == 15
    assert len(run.timeline) == 30
    assert run.sites == ("stages.0", "stages.1")
    assert [event.event for event in run.events] == [str(move.event) for move in GROWN]
    assert run.events[0].after is Stage.GERMINATED
    assert run.events[0].seed.blueprint == "conv_heavy"
    assert run.summary.seeds.kept == 1
    assert run.summary.parameters.total == run.metrics[-1].parameters
    assert run.ledger.flops["total"] == pytest.approx(run.metrics[-1].flops)


def test_numbers_that_json_has_no_word_for_survive_as_strings(tmp_path):
    moves = [Move(1, "stages.0", Event.GERMINATE, "se", numbers={"plain": 1.5})]
    folder = RunFolder(tmp_path, moves=moves).write()
    path = folder / "events.jsonl"
    path.write_text(path.read_text().replace("1.5", '"inf"'))
    assert read_run(folder).events[0].numbers == {"plain": float("inf")}


def test_runs_are_found_at_any_depth_in_natural_order(tmp_path):
    for name in ("10", "2", "deep/er/1"):
        RunFolder(tmp_path / name, ticks=1).write()
    RunFolder(tmp_path / ".hidden", ticks=1).write()
    found = [str(folder.relative_to(tmp_path)) for folder in find_runs(tmp_path)]
    assert found == ["2", "10", "deep/er/1"]


def test_a_run_folder_is_its_own_only_run(tmp_path):
    folder = RunFolder(tmp_path, ticks=1).write()
    assert is_run(folder)
    assert find_runs(folder) == [folder]


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_without_runs_is_refused(tmp_path, name):
    with pytest.raises(RunError, match=str(tmp_path)):
        find_runs(tmp_path / name)
    with pytest.raises(RunError, match="is no run folder"):
        read_run(tmp_path / name)


@pytest.mark.parametrize("name", FILES)
def test_a_finished_run_must_have_every_file(tmp_path, name):
    folder = RunFolder(tmp_path, ticks=15, moves=GROWN).write()
    (folder / name).unlink()
    with pytest.raises(RunError, match=rf"{name} is missing") as caught:
        read_run(folder)
    assert "\n" not in str(caught.value)


def test_a_run_in_which_nothing_happened_has_no_events_file(tmp_path):
    folder = RunFolder(tmp_path, ticks=2).write()
    (folder / "events.jsonl").unlink()
    assert read_run(folder).events == ()


def test_a_run_without_slots_has_an_empty_timeline(tmp_path):
    folder = RunFolder(tmp_path, ticks=2, sites=()).write()
    (folder / "timeline.csv").write_text("")
    assert read_run(folder).sites == ()


@pytest.mark.parametrize("name", ["environment.json", "timeline.csv", "events.jsonl"])
def test_an_unfinished_run_may_miss_what_is_not_written_yet(tmp_path, name):
    folder = RunFolder(tmp_path, ticks=3, status=None).write()
    (folder / name).unlink()
    assert read_run(folder).status == "unfinished"


def test_an_unfinished_run_may_end_in_half_a_row(tmp_path):
    folder = RunFolder(tmp_path, ticks=3, status=None).write()
    path = folder / "metrics.csv"
    path.write_text(path.read_text().rstrip()[:-9])
    assert len(read_run(folder).metrics) == 2


def test_a_run_that_failed_before_the_first_validation_is_readable(tmp_path):
    folder = RunFolder(tmp_path, ticks=1, status="failed").write()
    summary = json.loads((folder / "summary.json").read_text())
    summary.update({"best": None, "final": {}, "epochs": 0, "steps": 0})
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "metrics.csv").unlink()
    run = read_run(folder)
    assert run.metrics == ()
    assert run.summary.score.best is None


def test_an_unknown_stage_is_named_with_those_there_are(tmp_path):
    folder = RunFolder(tmp_path, ticks=2, moves=GROWN[:1]).write()
    path = folder / "timeline.csv"
    path.write_text(path.read_text().replace("dormant", "dormnt", 1))
    with pytest.raises(RunError, match=r"timeline\.csv line 2: unknown stage 'dormnt'; did you"):
        read_run(folder)


def test_a_missing_column_is_named(tmp_path):
    folder = RunFolder(tmp_path, ticks=2).write()
    path = folder / "metrics.csv"
    path.write_text(path.read_text().replace("wall_s", "seconds"))
    with pytest.raises(RunError, match=r"metrics\.csv line 2 has no 'wall_s'"):
        read_run(folder)


def test_damaged_runs_do_not_hide_the_others(tmp_path):
    good = RunFolder(tmp_path / "0", ticks=1).write()
    bad = RunFolder(tmp_path / "1", ticks=1).write()
    (bad / "ledger.json").write_text("{")
    runs, faults = read_runs([good, bad])
    assert [run.folder for run in runs] == [good]
    assert "ledger.json is no JSON" in faults[bad]
