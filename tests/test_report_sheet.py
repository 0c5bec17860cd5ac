"""The sheets hold every number of a comparison, unrounded."""

import csv
import math

import pytest
from _compared import compared, runs

from kasmina.report import sheet
from kasmina.report.failures import Failure
from kasmina.report.groups import group

VALUES = {"a": [0.5, 0.6, 0.7], "b": [0.6, 0.71, 0.8], "c": [0.5]}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_sheet_of_runs_has_them_all(tmp_path):
    groups = group(runs(tmp_path, VALUES))
    failed = [Failure(tmp_path / "x", "x=1", "failed", "broken", seed=3)]
    sheet.write_runs(tmp_path / "runs.csv", groups, failed)
    found = rows(tmp_path / "runs.csv")
    assert [row["status"] for row in found] == ["finished"] * 7 + ["failed"]
    assert float(found[0]["best"]) == groups[0].runs[0].summary.score.best.value
    assert float(found[0]["flops"]) == groups[0].runs[0].summary.spent.flops
    told = {"run": "x", "configuration": "x=1", "status": "failed", "reason": "broken", "seed": "3"}
    assert found[-1] == dict.fromkeys(sheet.HEAD, "") | told


def test_a_run_that_does_not_count_keeps_its_numbers(tmp_path):
    (it,) = group(runs(tmp_path, {"a": [0.5]}, status="diverged"))
    failed = [Failure(it.others[0].folder, it.label, "diverged", "nan", 0, it.others[0])]
    sheet.write_runs(tmp_path / "runs.csv", [it], failed)
    (row,) = rows(tmp_path / "runs.csv")
    assert (row["status"], row["reason"], float(row["best"])) == ("diverged", "nan", 0.5)


def test_the_sheet_of_configurations_has_the_statistics_of_every_measure(tmp_path):
    sheet.write_configurations(tmp_path / "c.csv", compared(tmp_path, VALUES))
    first, _, last = rows(tmp_path / "c.csv")
    assert (first["n"], first["score"], first["is_baseline"]) == ("3", "test", "True")
    assert float(first["test_mean"]) == pytest.approx(0.59)
    assert float(first["test_deviation"]) == pytest.approx(0.1)
    assert 0.49 <= float(first["test_low"]) < 0.59 < float(first["test_high"]) <= 0.69
    assert math.isnan(float(last["test_low"]))
    assert set(first) == set(sheet.CONFIGURATIONS)


def test_the_sheet_of_comparisons_has_both_p_values(tmp_path):
    found = compared(tmp_path, VALUES)
    sheet.write_comparisons(tmp_path / "d.csv", found)
    first, last = rows(tmp_path / "d.csv")
    assert (first["baseline"], first["pairs"], first["verdict"]) == ("controller=a", "3", "better")
    assert float(first["p_corrected"]) == found.differences[0].corrected
    assert last["verdict"] == "not tested: too few pairs"


def test_sheets_of_nothing_have_their_heads(tmp_path):
    sheet.write_configurations(tmp_path / "c.csv", None)
    sheet.write_comparisons(tmp_path / "d.csv", None)
    assert (tmp_path / "c.csv").read_text().strip() == ",".join(sheet.CONFIGURATIONS)
    assert (tmp_path / "d.csv").read_text().strip() == ",".join(sheet.COMPARISONS)
