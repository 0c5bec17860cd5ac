"""Text from a file: found, damaged, missing, fetched."""

import hashlib
from pathlib import Path

import pytest

from kasmina.data.text_file import TextFile

TEXT = "To be, or not to be. " * 30


def text_file(root: Path, **options: object) -> TextFile:
    usual = {"file": "some/input.txt", "vocab_size": len(set(TEXT)), "context": 8}
    return TextFile(root=str(root), **{**usual, **options})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "input.txt").write_text(TEXT)
    return tmp_path


def test_the_file_lies_below_the_root(root: Path) -> None:
    data = text_file(root)
    assert data.missing() is None
    assert data.read() == TEXT
    assert data.example()[0].shape == (2, 8)


def test_a_missing_file_is_named_with_the_place_and_the_way_out(tmp_path: Path) -> None:
    data = text_file(tmp_path)
    line = str(data.missing())
    assert str(tmp_path / "some" / "input.txt") in line
    assert "data.root" in line
    assert "data.download" not in line  # there is no address to fetch it from
    assert "data.download=true" in str(
        text_file(tmp_path, url="https://a.b/c", sha256="0").missing()
    )
    assert "\n" not in line
    with pytest.raises(OSError, match="no file"):
        data.setup("fit")


def test_an_empty_file_is_damaged(root: Path) -> None:
    (root / "some" / "input.txt").write_text("")
    assert "input.txt is empty" in str(text_file(root).missing())


def test_a_file_in_another_encoding_is_named(root: Path) -> None:
    (root / "some" / "input.txt").write_bytes("né".encode("latin-1") * 100)
    with pytest.raises(ValueError, match=r"input.txt is no UTF-8 text"):
        text_file(root).setup("fit")


def test_download_fetches_the_file_once(root: Path, tmp_path: Path) -> None:
    source = root / "some" / "input.txt"
    options = {
        "download": True,
        "url": source.as_uri(),
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    data = text_file(tmp_path / "elsewhere", **options)
    assert data.missing() is None  # it will be fetched
    data.prepare_data()
    source.unlink()
    data.prepare_data()
    assert data.read() == TEXT


def test_download_needs_an_address_and_a_checksum(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"needs data\.url and data\.sha256"):
        text_file(tmp_path, download=True, url="https://example.org/x")
