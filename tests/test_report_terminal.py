"""The last lines of training in the terminal."""

import io

from _runs import RunFolder, life
from rich.console import Console

from kasmina.report import read_run, summary_lines

MOVES = [*life("stages.1", "conv_heavy", 2), *life("stages.0", "norm", 3, keep=False)]


def test_the_lines_say_what_came_out_and_where_it_lies(tmp_path):
    folder = RunFolder(tmp_path, ticks=20, moves=MOVES, name="digits [a]").write()
    text = "\n".join(summary_lines(read_run(folder)))
    for part in (
        "digits [a]           finished, 20 epochs, 400 steps, 18 s",
        "validation accuracy  best ",
        "test accuracy        ",
        "774 host + 1,850 grown = 2,624",
        "1 kept, 1 pruned",
        "host 5",
        "on pruned seeds      9.60 MFLOP",
        f"run folder           {folder}",
        f"best checkpoint      {folder}/checkpoints/best.ckpt",
    ):
        assert part in text
    assert "report  " not in text


def test_markup_prints_the_same_text(tmp_path):
    folder = RunFolder(tmp_path, ticks=20, moves=MOVES, name="digits [a]").write()
    run = read_run(folder)
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    for line in summary_lines(run, markup=True):
        console.print(line, highlight=False, soft_wrap=True)
    assert printed.getvalue().splitlines() == summary_lines(run)


def test_the_report_is_named_once_it_is_there(tmp_path):
    folder = RunFolder(tmp_path, ticks=1, status=None).write()
    (folder / "report.html").write_text("")
    assert summary_lines(read_run(folder))[-1].endswith(f"{folder}/report.html")


def test_a_run_without_anything_still_has_lines(tmp_path):
    folder = RunFolder(tmp_path, ticks=1, status=None).write()
    (folder / "metrics.csv").write_text("")
    assert any("unfinished, 0 epochs" in line for line in summary_lines(read_run(folder)))
