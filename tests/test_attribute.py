"""The command."""

import csv
from pathlib import Path

import pytest
from grown import grown_run

from kasmina.attribute import FILE, answer, parser
from kasmina.evaluate import evaluate
from kasmina.faults import UsageFaults


def ask(*arguments: str, out: Path) -> list[dict[str, str]]:
    answer(parser().read([str(grown_run()), "--out", str(out), *arguments]))
    with (out / FILE).open() as file:
        return list(csv.DictReader(file))


def test_every_method_adds_its_rows_and_is_named_above_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("--method", "ablation", out=tmp_path)
    ask("--method", "shapley", out=tmp_path)
    ask("--steps", "2", "--site", "layers.1", out=tmp_path)
    found = ask("--method", "ablation", out=tmp_path)
    said = [(row["method"], row["site"]) for row in found]
    assert sorted(said) == [
        *(("ablation", "layers.0"), ("ablation", "layers.1")),
        ("recovery(2)", "layers.1"),
        *(("shapley", "layers.0"), ("shapley", "layers.1")),
    ]
    shown = capsys.readouterr().out
    for title in ("ablation: val/accuracy, 32 samples", "shapley: val", "recovery(2): val"):
        assert title in shown


def test_a_twin_that_is_there_is_not_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = grown_run() / "twin"
    (row,) = ask("--method", "twin", out=tmp_path / "first")
    assert row["site"] == "all"
    assert "all of them have brought together" in capsys.readouterr().out
    age = (twin / "summary.json").stat().st_mtime_ns
    assert ask("--method", "twin", out=tmp_path / "again") == [row]
    assert ask("--method", "twin", "--twin", str(twin), out=tmp_path / "named") == [row]
    assert (twin / "summary.json").stat().st_mtime_ns == age


def test_pruning_writes_a_checkpoint_that_eval_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pruned.ckpt"
    options = ("--prune", "--steps", "2", "--write", str(file))
    ask(*options, "--margin", "1e-9", out=tmp_path)
    assert not file.exists()
    assert "no seed is removable" in capsys.readouterr().out
    ask(*options, "--margin", "2", out=tmp_path)
    assert "removable" in capsys.readouterr().out
    assert "val/accuracy" in evaluate(file)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "recovry"), "did you mean 'recovery'"),
        (("--split", "tset"), "did you mean 'test'"),
        (("--steps", "3", "--method", "shapley"), "--steps is for recovery and --prune"),
        (("--margin", "3"), "--margin is for --prune, and this is recovery"),
        (("--prune", "--method", "twin"), "leave --method out"),
    ],
)
def test_an_option_that_nobody_takes_is_named(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageFaults, match=says):
        ask(*arguments, out=tmp_path)


def test_a_twin_of_a_file_has_to_be_named(tmp_path: Path) -> None:
    file = grown_run() / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match="--twin names it"):
        answer(parser().read([f"ckpt={file}", "--method", "twin", "--out", str(tmp_path)]))


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        answer(parser().read([str(tmp_path)]))
