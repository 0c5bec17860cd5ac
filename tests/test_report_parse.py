"""Reading files: each fault is one line that names the file and the place."""

import math

import pytest

from kasmina.report.parse import Fields, RunError, read_csv, read_json, read_jsonl, read_yaml


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"nothing\.json is missing"):
        read_json(tmp_path / "nothing.json")


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RunError, match=r"rows\.csv cannot be read"):
        read_csv(path, growing=False)


@pytest.mark.parametrize(
    ("text", "fault"), [("{", "is no JSON"), ("[1]", "holds a list, not an object")]
)
def test_damaged_json_is_named(tmp_path, text, fault):
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(RunError, match=rf"summary\.json {fault}"):
        read_json(path)


def test_a_short_row_is_named_with_its_line(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(RunError, match="line 3 has 1 cells, its header has 2"):
        read_csv(path, growing=False)


@pytest.mark.parametrize(
    ("name", "text"), [("rows.csv", "a,b\n1,2\n3"), ("rows.jsonl", '{"a": 1}\n{"a"')]
)
def test_a_growing_file_may_end_in_half_a_row(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    read = read_jsonl if name.endswith("jsonl") else read_csv
    assert len(read(path, growing=True)) == 1
    with pytest.raises(RunError, match="line"):
        read(path, growing=False)


@pytest.mark.parametrize("text", ["", "a,b\n"])
def test_a_csv_without_rows_reads_as_none(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    assert read_csv(path, growing=False) == []


def test_yaml_floats_without_a_dot_are_numbers(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("lr: 1e-3\n")
    assert read_yaml(path) == {"lr": 0.001}


@pytest.mark.parametrize("text", ["a: [", "- 1\n"])
def test_a_config_that_is_no_mapping_is_named(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml"):
        read_yaml(path)


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_number_is_nan_and_an_empty_count_is_a_fault(empty):
    row = Fields({"n": empty}, "rows.csv line 2")
    assert math.isnan(row.number("n"))
    with pytest.raises(RunError, match=r"rows\.csv line 2: 'n' is empty"):
        row.integer("n")


def test_a_word_where_a_number_belongs_is_named():
    with pytest.raises(RunError, match="line 2: 'n' is 'many', not a number"):
        Fields({"n": "many"}, "rows.csv line 2").number("n")
    with pytest.raises(RunError, match="line 2 has no 'm'"):
        Fields({}, "rows.csv line 2").text("m")
