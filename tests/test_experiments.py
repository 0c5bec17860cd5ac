"""The studies run from their own command, here with sizes that prove nothing."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[1] / "experiments"
SCRIPTS = sorted(path.parent.name for path in STUDIES.glob("*/run.py"))
CHEAP = {"se_broadcast"}


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
@pytest.mark.parametrize(
    "study",
    [name if name in CHEAP else pytest.param(name, marks=pytest.mark.long) for name in SCRIPTS],
)
def test_a_study_runs_again_from_its_command(study: str, tmp_path: Path) -> None:
    flags = ["--quick", "--rounds", "1", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, STUDIES / study / "run.py", *flags],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    with (STUDIES / study / "results.csv").open() as file:
        assert list(rows[0]) == next(csv.reader(file))
    assert list(tmp_path.glob("*.png"))


FOLDERS = {
    str(path.parent.relative_to(STUDIES))
    for kind in ("README.md", "*.csv", "*.py")
    for path in STUDIES.rglob(kind)
}


@pytest.mark.parametrize("study", sorted(FOLDERS))
def test_a_study_has_a_readme_with_question_command_hardware_and_verdict(study: str) -> None:
    text = (STUDIES / study / "README.md").read_text()
    for part in ("Question.", "Command.", "Hardware and versions.", "Verdict", "results.csv"):
        assert part in text
    assert list((STUDIES / study).glob("*.png"))
    assert (STUDIES / study / "results.csv").is_file()
