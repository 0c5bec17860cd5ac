import json
import math
from pathlib import Path

import pytest

from kasmina import jobs
from kasmina.jobs import Job


def job(number: int, state: str = "finished", **changed) -> Job:
    facts = {"value": 0.5, "seconds": 1.5, "code": 0, "folder": str(number), "overrides": "[]"}
    return Job(number=number, state=state, **{**facts, **changed})


def ended(folder: Path, code: int, log: str = "", **summary) -> Job:
    run = folder / "0"
    run.mkdir()
    (run / jobs.OUTPUT).write_text(log)
    if summary:
        (run / "summary.json").write_text(json.dumps(summary))
    return jobs.ended(folder, run, number=0, code=code, seconds=2.04, overrides=["seed=1"])


def test_a_multirun_without_a_table_has_no_jobs(tmp_path):
    assert jobs.read(tmp_path) == {}


def test_what_is_appended_is_read_again(tmp_path):
    first = job(3, overrides=jobs.words(["a='x,\"y'", "b=[1,2]"]), error='odd, "line"')
    jobs.append(tmp_path, first)
    jobs.append(tmp_path, job(1))
    assert jobs.read(tmp_path) == {3: first, 1: job(1)}


def test_the_last_row_of_a_number_counts(tmp_path):
    jobs.append(tmp_path, job(0, "failed", error="broken"))
    jobs.append(tmp_path, job(0))
    assert jobs.read(tmp_path) == {0: job(0)}


def test_a_row_that_was_cut_off_is_no_row(tmp_path):
    jobs.append(tmp_path, job(0))
    with (tmp_path / jobs.JOBS).open("a") as file:
        file.write("1,finished,0.")
    assert jobs.read(tmp_path) == {0: job(0)}
    jobs.append(tmp_path, job(2))
    assert jobs.read(tmp_path) == {0: job(0), 2: job(2)}


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_job_that_ended_well_has_its_best_value(tmp_path, status):
    assert ended(tmp_path, 0, "fine\n", status=status, best={"value": 0.75}) == Job(
        number=0,
        state=status,
        value=0.75,
        seconds=2.0,
        code=0,
        folder="0",
        overrides='["seed=1"]',
    )


def test_a_job_that_validated_nothing_has_no_value(tmp_path):
    done = ended(tmp_path, 0, status="finished", best=None)
    assert (done.state, done.error) == ("finished", "")
    assert math.isnan(done.value)


@pytest.mark.parametrize(
    ("code", "log", "state", "error"),
    [
        (1, "Traceback\nValueError: odd\n\n", "failed", "ValueError: odd"),
        (130, "interrupted\n", "interrupted", "interrupted"),
        (-9, "epoch 3\n", "failed", "killed by SIGKILL; before that: epoch 3"),
        (2, "", "failed", "it said nothing"),
        (0, "no summary\n", "failed", "no summary"),
        (1, "x" * 9000 + "\nlast", "failed", "last"),
    ],
)
def test_a_job_that_failed_has_its_last_words_and_no_value(tmp_path, code, log, state, error):
    done = ended(tmp_path, code, log)
    assert (done.state, done.error, done.code) == (state, error, code)
    assert math.isnan(done.value)


def test_a_job_that_failed_after_it_had_a_summary_has_no_value(tmp_path):
    done = ended(tmp_path, 1, "late", status="finished", best={"value": 0.75})
    assert done.state == "failed"
    assert math.isnan(done.value)
