"""Files that are missing, cut off, or do not match their checksum."""

import hashlib
from pathlib import Path

import pytest

from kasmina.data.files import fetch, problem


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"PAR1 and so on PAR1", None),
        (b"PAR1", None),
        (b"", "is empty"),
        (b"PAR1 and so", "ends with"),
        (b"<html> PAR1", "begins with"),
        (b"P", "begins with"),
    ],
)
def test_a_damaged_file_is_told_by_its_ends(
    tmp_path: Path, content: bytes, fault: str | None
) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    line = problem(path, begins=b"PAR1", ends=b"PAR1")
    if fault is None:
        assert line is None
    else:
        assert line is not None
        assert fault in line
        assert str(path) in line


def test_a_missing_file_and_a_folder_are_no_file(tmp_path: Path) -> None:
    assert problem(tmp_path / "x") == f"no file {tmp_path / 'x'}"
    assert problem(tmp_path) == f"no file {tmp_path}"
    (tmp_path / "x").write_text("a")
    assert problem(tmp_path / "x") is None


def test_a_fetched_file_appears_where_it_should(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("text")
    target = tmp_path / "new" / "folder" / "target"
    fetch(source.as_uri(), target, sha256=hashlib.sha256(b"text").hexdigest())
    assert target.read_text() == "text"


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("text")
    with pytest.raises(ValueError, match=r"download of .* is damaged.*or put the file at"):
        fetch(source.as_uri(), tmp_path / "new" / "target", sha256="0" * 64)
    assert list((tmp_path / "new").iterdir()) == []


def test_no_network_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match=r"cannot download .*or put the file at") as caught:
        fetch((tmp_path / "nowhere").as_uri(), tmp_path / "target", sha256="0" * 64)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "target").exists()
