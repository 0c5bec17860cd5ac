"""Checkpoint files survive what kills their writer, and what happens to bytes on a disk."""

import logging
import os
import pickle
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from kasmina import checkpoints
from kasmina._version import __version__

KILLS = 50


def content(number: int, size: int = 1000) -> dict[str, Any]:
    return {
        "topology": {},
        "state_dict": {"weight": torch.full((size,), float(number))},
        "number": number,
        checkpoints.STAMP: {"format": checkpoints.FORMAT, "version": __version__},
    }


def write_until_killed(path: Path) -> int:
    """A process that does nothing but save; its number."""
    child = os.fork()
    if child:
        return child
    try:
        number = checkpoints.read(path)["number"]
        while True:
            number += 1
            checkpoints.rotate(path, 2)
            checkpoints.write(path, content(number, 200_000))
    finally:
        os._exit(1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path, draw = tmp_path / "last.ckpt", random.Random(0)
    checkpoints.write(path, content(0, 200_000))
    before, broken_off = 0, 0
    for _ in range(KILLS):
        child = write_until_killed(path)
        time.sleep(draw.uniform(0.002, 0.05))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        broken_off += (tmp_path / ".last.ckpt.tmp").is_file()
        for file in checkpoints.kept(tmp_path):
            saved = checkpoints.read(file)
            assert saved["state_dict"]["weight"].eq(saved["number"]).all()
        assert checkpoints.read(path)["number"] >= before
        before = checkpoints.read(path)["number"]
    assert before > 0
    assert broken_off > 0  # some were killed while they wrote


def test_any_byte_that_is_wrong_is_found_or_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.write(path, content(1))
    whole = path.read_bytes()
    found = 0
    for place in range(0, len(whole), 53):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        if checkpoints.damage(path):
            found += 1
        else:
            assert torch.equal(
                checkpoints.read(path)["state_dict"]["weight"], content(1)["state_dict"]["weight"]
            )
    assert found > len(whole) // 53 // 2


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 0.9999])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.write(path, content(1))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        checkpoints.read(path)


def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.write(path, content(1))
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        checkpoints.write(path, {"no": lambda: None})
    assert checkpoints.read(path)["number"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_as_many_files_stay_as_are_asked_for_the_newest_first(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "last.ckpt"
    for number in range(6):
        checkpoints.rotate(path, keep)
        checkpoints.write(path, content(number))
    found = [checkpoints.read(file)["number"] for file in checkpoints.kept(tmp_path)]
    assert found == [5, 4, 3, 2][:keep]


def test_more_than_ten_files_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for number in range(13):
        checkpoints.rotate(path, 12)
        checkpoints.write(path, content(number))
    found = [checkpoints.read(file)["number"] for file in checkpoints.kept(tmp_path)]
    assert found == list(range(12, 0, -1))


def run_with(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        checkpoints.write(folder / "checkpoints" / name, content(number))
    return folder


def test_a_run_goes_on_from_its_newest_file(tmp_path: Path) -> None:
    folder = run_with(tmp_path, "best.ckpt", "last-1.ckpt", "last.ckpt")
    assert checkpoints.to_go_on_from(folder).name == "last.ckpt"


@pytest.mark.parametrize(
    ("broken", "taken"),
    [(("last",), "last-1.ckpt"), (("last", "last-1"), "best.ckpt")],
)
def test_a_damaged_file_is_passed_over_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: tuple[str, ...], taken: str
) -> None:
    folder = run_with(tmp_path, "best.ckpt", "last-1.ckpt", "last.ckpt")
    for name in broken:
        (folder / "checkpoints" / f"{name}.ckpt").write_bytes(b"nothing of use")
    with caplog.at_level(logging.WARNING):
        assert checkpoints.to_go_on_from(folder).name == taken
    assert len(caplog.records) == len(broken)
    for record, name in zip(caplog.records, broken, strict=True):
        assert f"{name}.ckpt is damaged (file is not a zip file)" in record.message
        assert "\n" not in record.message


def test_where_all_are_damaged_they_are_named(tmp_path: Path) -> None:
    folder = run_with(tmp_path, "best.ckpt", "last.ckpt")
    for file in (folder / "checkpoints").iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"all are damaged: last\.ckpt, best\.ckpt$"):
        checkpoints.to_go_on_from(folder)


def test_a_folder_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no readable checkpoint in .*: there is none"):
        checkpoints.to_go_on_from(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint: .*last\.ckpt does not exist"):
        checkpoints.read(tmp_path / "last.ckpt")


class Payload:
    """What a malicious file does when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("ran",)


def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({**content(1), "payload": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="is refused: it holds more than tensors and values"):
        checkpoints.read(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("count", [0, 2])
def test_lost_races_of_a_file_of_format_2_are_those_of_the_slots_in_the_last(count: int) -> None:
    raced = [{"site": "a", "tick": 5}, {"site": "b", "tick": 5}]
    content = {
        **{"topology": {}, "state_dict": {}, checkpoints.STAMP: {"format": 2, "version": "0.1"}},
        "callbacks": {"Lifecycle": {"lost": count, "raced": raced}},
    }
    found = checkpoints.upgrade(content, Path("old.ckpt"))["callbacks"]["Lifecycle"]["lost"]
    expected = {site: {"count": count, "tick": 5} for site in "ab"} if count else {}
    assert found == expected


@pytest.mark.parametrize("weights", [{}, {"body.weight": 1}], ids=len)
@pytest.mark.parametrize("event", ["germinate", "prune"])
def test_the_weights_of_a_file_of_format_3_belong_to_the_slot_that_germinates(
    weights: dict[str, int], event: str
) -> None:
    moves = [("a", "train"), ("b", event), ("c", "train")]
    pending = [{"site": site, "event": event} for site, event in moves]
    old = {
        **{"topology": {}, "state_dict": {}, checkpoints.STAMP: {"format": 3, "version": "0.1"}},
        "callbacks": {"Lifecycle": {"pending": pending, "weights": weights}},
    }
    found = checkpoints.upgrade(old, Path("old.ckpt"))["callbacks"]["Lifecycle"]["weights"]
    assert found == ({"b": weights} if weights and event == "germinate" else {})


def test_a_file_of_a_later_format_says_which_program_reads_it(tmp_path: Path) -> None:
    stamp = {"format": checkpoints.FORMAT + 1, "version": "9.1"}
    checkpoints.write(tmp_path / "last.ckpt", {**content(1), checkpoints.STAMP: stamp})
    with pytest.raises(ValueError, match=r"has format 6, .* install kasmina>=9\.1$"):
        checkpoints.read(tmp_path / "last.ckpt")


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    checkpoints.write(tmp_path / "last.ckpt", {"state_dict": {}, "epoch": 3})
    with pytest.raises(ValueError, match=r"last\.ckpt is no checkpoint of kasmina"):
        checkpoints.read(tmp_path / "last.ckpt")


def test_the_writer_stamps_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    files = checkpoints.CheckpointFiles()
    files.save_checkpoint({"topology": {}, "state_dict": {}}, path)
    saved = files.load_checkpoint(path)
    assert saved[checkpoints.STAMP] == {
        "format": checkpoints.FORMAT,
        "version": __version__,
        "world_size": 1,
    }
    assert torch.load(path, weights_only=True) == saved
