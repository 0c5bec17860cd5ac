"""Writing reports: into a run's folder, over several runs, or elsewhere."""

import json
import math

import pytest
from _runs import RunFolder, life

from kasmina.jobs import Job, append
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
    sheets = {"runs.csv", "configurations.csv", "comparisons.csv"}
    assert {path.name for path in tmp_path.iterdir()} >= {*sheets, "figures", "report.html"}
    assert {it.name for it in (tmp_path / "figures").iterdir()} == {
        "tradeoff.png",
        "comparison.png",
    }


def planned(folder):
    """An ablation of two arms and two seeds, of which the last job has not begun."""
    arms = [{"label": "ab"[n // 2], "overrides": [], "seed": n % 2, "number": n} for n in range(4)]
    plan = {"name": "blending", "question": "Does <b> help?", "axes": {"blend": ["a", "b"]}}
    folder.mkdir()
    (folder / "ablation.json").write_text(json.dumps({**plan, "baseline": "b", "arms": arms}))
    for arm in arms[:3]:
        RunFolder(folder / str(arm["number"]), ticks=1, seed=arm["seed"]).write()
    return folder


def test_an_ablation_brings_its_name_question_labels_and_baseline(tmp_path):
    text = write_report([planned(tmp_path / "m")]).read_text()
    assert "<h1>blending" in text
    assert '<p class="lead">Does &lt;b&gt; help?</p>' in text
    assert "Paired by seed with b: a: 0.0 points (n = 1)" in text
    assert "job 3 of the ablation has not begun" in text


def test_a_baseline_without_a_run_is_replaced_and_one_that_is_asked_for_must_exist(tmp_path):
    folder = planned(tmp_path / "m")
    (folder / "2" / "summary.json").unlink()
    text = write_report([folder]).read_text()
    assert "The planned baseline, b, has no finished run; a stands in for it." in text
    with pytest.raises(RunError, match="unknown baseline 'c'; possible: a"):
        write_report([folder], baseline="c")
    with pytest.raises(RunError, match="a baseline takes several runs"):
        write_report([folder / "0"], baseline="a")


def test_a_multirun_of_failed_jobs_alone_has_a_report(tmp_path):
    words = '["seed=1"]'
    append(tmp_path, Job(0, "failed", math.nan, 1.0, 1, "0_seed=1", words, "out of memory"))
    text = write_report([tmp_path]).read_text()
    assert "None can be compared." in text
    assert "out of memory" in text


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
