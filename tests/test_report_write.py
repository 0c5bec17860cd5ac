"""Writing reports: into a run's folder, over several runs, or elsewhere."""

import pytest
from _runs import RunFolder, life

from kasmina.report import RunError, write_report

PNG = b"\x89PNG\r\n\x1a\n"


def test_one_run_is_reported_in_its_folder(tmp_path):
    folder = RunFolder(tmp_path / "a", ticks=15, moves=life("stages.0", "se", 2)).write()
    assert write_report([folder]) == folder / "report.html"
    pictures = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert set(pictures) == {"curves.png", "stages.png", "parameters.png", "compute.png"}
    assert all(content.startswith(PNG) for content in pictures.values())


def test_a_run_before_its_first_validation_has_a_report_too(tmp_path):
    folder = RunFolder(tmp_path / "a", ticks=1, status=None, name="early").write()
    (folder / "metrics.csv").write_text("")
    assert "early" in write_report([folder], out=tmp_path / "out").read_text()


def test_a_multirun_is_reported_in_its_folder(tmp_path):
    for seed in (0, 1):
        RunFolder(tmp_path / str(seed), ticks=2, seed=seed).write()
    broken = RunFolder(tmp_path / "2", ticks=2, seed=2).write()
    (broken / "ledger.json").unlink()
    page = write_report([tmp_path])
    assert page == tmp_path / "report.html"
    assert "ledger.json is missing" in page.read_text()
    assert {path.name for path in tmp_path.iterdir()} >= {"runs.csv", "figures", "report.html"}
    assert {it.name for it in (tmp_path / "figures").iterdir()} == {
        "tradeoff.png",
        "comparison.png",
    }


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_several_folders_meet_in_what_they_share_or_where_asked(tmp_path, given):
    folders = [RunFolder(tmp_path / name, ticks=1, status="failed").write() for name in "ab"]
    out = None if given is None else tmp_path / given
    page = write_report(folders, out)
    assert page.parent == (out or tmp_path)
    assert "None can be compared." in page.read_text()


def test_a_run_that_is_named_twice_counts_once(tmp_path):
    folder = RunFolder(tmp_path / "a", ticks=1, status="failed").write()
    write_report([folder, tmp_path], tmp_path / "out")
    assert len((tmp_path / "out" / "runs.csv").read_text().splitlines()) == 2


def test_where_there_is_nothing_to_report_one_line_says_so(tmp_path):
    with pytest.raises(RunError, match="no folder was named"):
        write_report([])
    with pytest.raises(RunError, match=f"no run in {tmp_path}"):
        write_report([tmp_path])
    broken = RunFolder(tmp_path / "a", ticks=1).write()
    (broken / "metrics.csv").unlink()
    with pytest.raises(RunError, match=r"none of 1 runs can be read; .*metrics\.csv is missing"):
        write_report([tmp_path])
