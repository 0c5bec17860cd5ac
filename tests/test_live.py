import io
import math

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from kasmina import jobs
from kasmina.jobs import Job
from kasmina.live import Board, Progress, Started, apart, budget, clock, progress

HEAD = "tick,epoch,step,wall_s,train_flops,val/accuracy\n"
JOBS = {n: f"seed={n}" for n in range(4)}


def job(number: int, state: str = "finished", value: float = 0.5, error: str = "") -> Job:
    return Job(number, state, value, 65.0, 0, str(number), "[]", error)


def console(height: int = 40, *, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=120, height=height, color_system=None
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEAD + "1,0,4,2.0,1e3,0.25\n2,1,8,4.0,2e3,0.5\n", Progress(2, 0.5, 4.0, 2000.0)),
        (HEAD + "1,0,4,2.0,1e3,0.25\n2,1,8", None),  # it is being written
        (HEAD, None),
        ("", None),
    ],
)
def test_progress_is_the_last_row_of_the_metrics(tmp_path, text, found):
    (tmp_path / "metrics.csv").write_text(text)
    assert progress(tmp_path, "val/accuracy") == found


def test_there_is_no_progress_before_the_first_file(tmp_path):
    assert progress(tmp_path, "val/accuracy") is None


def test_the_time_left_follows_the_pace_so_far():
    assert Progress(2, 0.5, 4.0).left(10) == 16.0
    assert Progress(10, 0.5, 4.0).left(10) == 0.0
    assert math.isnan(Progress(2, 0.5, 4.0).left(-1))


def test_where_flops_are_limited_the_time_left_follows_what_is_spent():
    seen = Progress(2, 0.5, 4.0, 100.0)
    assert seen.left(-1, 400.0) == seen.left(1000, 400.0) == 12.0
    assert seen.left(4, 1e9) == 4.0
    assert seen.left(1000, 50.0) == 0.0
    assert Progress(2, 0.5, 4.0).left(None, 1e9) != seen.left(None, 400.0) == 12.0
    config = OmegaConf.create({"callbacks": {"budget": {"flops": 2e9}, "feed": {}}})
    assert budget(config) == 2e9
    assert budget(OmegaConf.create({"callbacks": {"budget": {"flops": None}}})) == math.inf
    assert budget(OmegaConf.create({"callbacks": None})) == math.inf
    assert budget(OmegaConf.merge(config, {"baseline": {"compute": 1.5}})) == 3e9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3723, "1:02:03"), (math.nan, "")],
)
def test_a_duration_is_read_like_a_clock(seconds, text):
    assert clock(seconds) == text


def test_jobs_are_named_by_what_sets_them_apart():
    jobs = {n: ["name=x", f"seed={n}", "+new=[1]", "blueprint=[mlp]"] for n in range(2)}
    shared = ["name", "+new"]
    assert apart(jobs, shared) == {n: f"seed={n} blueprint=[mlp]" for n in range(2)}


def drawn(board: Board, running: list[Started]) -> list[str]:
    board.console.print(board.table(running))
    return [line.strip("│ \n") for line in board.console.file.getvalue().splitlines()]


def test_the_table_has_what_runs_then_what_ended_then_what_waits(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEAD + "1,0,4,2.0,1e3,0.25\n")
    jobs.append(tmp_path, job(0))
    jobs.append(tmp_path, job(1, "failed", math.nan, "broken"))
    board = Board(tmp_path, JOBS, console(terminal=False))
    lines = drawn(board, [Started(2, tmp_path, "val/accuracy", 5)])
    cells = [[cell.strip() for cell in line.split("│")] for line in lines if "seed=" in line]
    assert cells == [
        ["2", "seed=2", "1/5", "0.25", "0:08", "running"],
        ["1", "seed=1", "", "", "", "failed"],
        ["0", "seed=0", "", "0.5", "", "finished"],
        ["3", "seed=3", "", "", "", "waiting"],
    ]
    assert any("1 done, 1 failed, 1 running, 1 waiting" in line for line in lines)


def test_a_table_of_many_jobs_fits_the_terminal(tmp_path):
    for number in range(50):
        jobs.append(tmp_path, job(number))
    board = Board(tmp_path, {n: f"seed={n}" for n in range(90)}, console(12, terminal=False))
    lines = drawn(board, [Started(60, tmp_path, "val/accuracy", 5)])
    assert len(lines) <= 13
    assert any(line.startswith("60") for line in lines)
    assert any(line.startswith("49") for line in lines)
    assert not any(line.startswith("48 ") and "seed=0" in line for line in lines)


def test_words_in_brackets_are_no_markup(tmp_path):
    board = Board(tmp_path, {0: "blueprint=[bold]"}, console(terminal=False))
    assert any("blueprint=[bold]" in line for line in drawn(board, []))


def test_without_a_terminal_there_are_plain_lines(tmp_path):
    with Board(tmp_path, JOBS, console(terminal=False)) as board:
        board.starts(0, "starts")
        board.look([])
        board.ends(job(0))
        board.ends(job(1, "failed", math.nan, "odd [red] line"))
    assert board.console.file.getvalue().splitlines() == [
        "job 0 starts: seed=0",
        "job 0 finished: 0.5 in 1:05",
        "job 1 failed: odd [red] line",
    ]


def test_on_a_terminal_there_is_a_table_and_no_lines(tmp_path):
    with Board(tmp_path, JOBS, console(terminal=True)) as board:
        board.starts(0, "starts")
        board.look([])
    said = board.console.file.getvalue()
    assert "job 0 starts" not in said
    assert "4 waiting" in said
