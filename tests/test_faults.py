"""What breaks around a run: disks, bytes and files. Nothing that was saved is lost, and nothing
that is damaged passes for whole. The table of all such tests is docs/reliability.md."""

import logging
import os
import random
import resource
import shutil
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from lightning import Callback, LightningModule, Trainer
from test_checkpoints import Payload
from test_data_cifar10 import FORMS, cifar
from test_data_text_file import TEXT, text_file

from kasmina import checkpoints
from kasmina.cli import FAILED, OK, WRONG, main
from kasmina.report.runs import read_run
from kasmina.request import read, resumed

EPOCHS = 4
OPTIONS = (
    *(*runs.VECTORS, *runs.FAST, *runs.QUIET, "test=false", f"trainer.max_epochs={EPOCHS}"),
    "callbacks.last.keep=3",
)
FLIPS, CUTS, SPOILT = 120, 40, 40
RECORDS = ("metrics.csv", "timeline.csv", "events.jsonl")
FILES = (*RECORDS, "ledger.json", "summary.json", "environment.json", "config.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*OPTIONS, f"hydra.run.dir={folder}"]) == OK
    return folder


@pytest.fixture
def broken_off(whole: Path, tmp_path: Path) -> Path:
    """The same run, of which the last epoch's checkpoint was never written."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    saved = folder / "checkpoints"
    os.replace(saved / "last-1.ckpt", saved / "last.ckpt")
    os.replace(saved / "last-2.ckpt", saved / "last-1.ckpt")
    return folder


def told(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The tables of a run, but for the clock."""
    tables: dict[str, Any] = {name: runs.rows(folder, name) for name in RECORDS[:2]}
    for row in tables["metrics.csv"]:
        row.pop("wall_s")
    return {**tables, "events.jsonl": runs.events(folder)}


def in_child(call: Callable[[], int], said: Path) -> int:
    """The exit code of a call in a process of its own; what it says goes into a file."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with said.open("w") as file, redirect_stdout(file), redirect_stderr(file):
                code = call()
        except BaseException:  # noqa: BLE001  # a child that goes on would be a second pytest
            said.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def fill_disk(size: int) -> None:
    """From here on no file of this process can be longer: a write fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class FullDisk(Callback):
    """The disk is full from an epoch on."""

    def __init__(self, *, epoch: int, size: int) -> None:
        self.epoch, self.size = epoch, size

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            fill_disk(self.size)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 0.7, 0.9, 0.99, 0.9999])
def test_a_disk_that_is_full_at_any_byte_of_a_checkpoint_leaves_the_one_before(
    tmp_path: Path, share: float
) -> None:
    path, content = tmp_path / "last.ckpt", {"weight": torch.rand(30_000)}
    checkpoints.write(path, content)
    before = path.read_bytes()

    def save() -> int:
        fill_disk(int(share * len(before)))
        with pytest.raises(OSError, match=r"cannot save .*last\.ckpt: .*; what was there is as"):
            checkpoints.write(path, {"weight": torch.zeros(30_000)})
        return 0

    assert in_child(save, tmp_path / "said") == 0, (tmp_path / "said").read_text()
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"last.ckpt", "said"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_on_a_full_disk_ends_with_a_line_and_goes_on_once_there_is_room(
    tmp_path: Path, whole: Path
) -> None:
    folder, said = tmp_path / "run", tmp_path / "said"
    full = f"+callbacks.full={{_target_:test_faults.FullDisk,epoch:{EPOCHS - 1},size:9000}}"
    code = in_child(lambda: main([*OPTIONS, full, f"hydra.run.dir={folder}"]), said)
    assert code == FAILED, said.read_text()
    assert said.read_text().count("cannot save") == 1
    assert "Traceback" not in said.read_text()
    assert checkpoints.to_go_on_from(folder).name == "last.ckpt"
    assert main([f"resume={folder}", "callbacks.full=null"]) == OK
    assert told(folder) == told(whole)
    ours, theirs = (runs.checkpoint(at / "checkpoints/last.ckpt") for at in (folder, whole))
    assert runs.same(ours["state_dict"], theirs["state_dict"])


@pytest.mark.parametrize("below", ["file", "/proc"])
def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "file").touch()  # root may write anywhere else
    folder = tmp_path / below / "run"
    assert main([*OPTIONS, f"hydra.run.dir={folder}"]) == WRONG
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("config error: run folder: ")
    assert str(folder.parent) in line


def test_a_run_folder_that_stops_being_writable_ends_the_run_with_a_line(
    broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken_off / "metrics.csv").unlink()
    (broken_off / "metrics.csv").mkdir()
    assert main([f"resume={broken_off}"]) == FAILED
    said = capsys.readouterr()
    assert "metrics.csv" in said.out + said.err
    assert "Traceback" not in said.out + said.err
    assert checkpoints.damage(broken_off / "checkpoints" / "last.ckpt") is None


def spoil(content: bytes, draw: random.Random) -> bytes:
    """One of the things that happen to bytes: flips, a block of zeros, a cut, a block twice."""
    at = draw.randrange(len(content))
    kind = draw.choice(["flip", "flips", "zeros", "cut", "twice"])
    if kind == "cut":
        return content[:at]
    if kind == "zeros":
        return content[:at] + bytes(len(content[at : at + 512])) + content[at + 512 :]
    if kind == "twice":
        return content[:at] + content[at // 2 : at // 2 + 512] + content[at + 512 :]
    changed = bytearray(content)
    for place in [at] if kind == "flip" else draw.choices(range(len(content)), k=8):
        changed[place] ^= draw.randrange(1, 256)
    return bytes(changed)


def test_a_spoilt_checkpoint_is_passed_over_or_holds_what_it_held(
    broken_off: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw, path = random.Random(0), broken_off / "checkpoints" / "last.ckpt"
    content, saved = path.read_bytes(), checkpoints.read(path)
    passed_over = 0
    for _ in range(FLIPS):
        path.write_bytes(spoil(content, draw))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            taken = checkpoints.to_go_on_from(broken_off)
        if taken == path:
            assert runs.same(checkpoints.read(path), saved)
        else:
            passed_over += 1
            assert taken.name == "last-1.ckpt"
            assert [record.message.count("\n") for record in caplog.records] == [0]
    assert passed_over > FLIPS // 2


def test_a_checkpoint_that_would_run_code_is_refused_by_eval_and_by_resume(
    broken_off: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(broken_off)
    path = broken_off / "checkpoints" / "last.ckpt"
    torch.save({**runs.checkpoint(path), "payload": Payload()}, path)
    assert main(["eval", f"ckpt={path}"]) == WRONG
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.ckpt is refused: it holds more than tensors and values" in line
    assert main([f"resume={broken_off}"]) == FAILED
    assert not (broken_off / "ran").exists()


@pytest.mark.parametrize("name", FORMS)
def test_a_cifar_file_that_was_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    FORMS[name](tmp_path)
    draw = random.Random(0)
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for _ in range(CUTS):
        path = draw.choice(paths)
        content = path.read_bytes()
        path.write_bytes(content[: draw.randrange(len(content))])
        data = cifar(tmp_path)
        with pytest.raises((OSError, ValueError)) as refusal:
            data.setup("test" if path.name.startswith("test") else "fit")
        assert path.name in str(refusal.value)
        path.write_bytes(content)


def test_a_text_that_was_cut_is_refused_or_read_as_the_text_that_it_is(tmp_path: Path) -> None:
    path, draw = tmp_path / "some" / "input.txt", random.Random(0)
    path.parent.mkdir()
    content = ("né" * 50 + TEXT).encode()
    for _ in range(CUTS):
        cut = content[: draw.randrange(len(content))]
        path.write_bytes(cut)
        size = len(set(cut.decode(errors="ignore")))
        data = text_file(tmp_path, vocab_size=size)
        said = refusal(lambda data=data: data.setup("fit"))  # type: ignore[misc]
        assert "\n" not in said
        assert said or data.read() == cut.decode()


def refusal(call: Callable[[], object]) -> str:
    """What a call says when it refuses what it reads, nothing where it does not."""
    try:
        call()
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def half_a_row(folder: Path, draw: random.Random) -> None:
    """What a kill leaves: the last rows are those that no checkpoint knows."""
    for name in RECORDS:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: -draw.randrange(1, 12)])


def another_row(folder: Path, draw: random.Random) -> None:
    for name in RECORDS:
        with (folder / name).open("ab") as file:
            file.write(draw.randbytes(40) + b"\n")


@pytest.mark.parametrize("harm", [half_a_row, another_row])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_whose_tables_end_in_rubbish_is_resumed_and_writes_them_whole(
    broken_off: Path, whole: Path, harm: Callable[[Path, random.Random], None], seed: int
) -> None:
    harm(broken_off, random.Random(seed))
    assert main([f"resume={broken_off}"]) == OK
    assert told(broken_off) == told(whole)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_whose_tables_are_spoilt_anywhere_is_resumed_and_says_so(
    broken_off: Path, whole: Path, seed: int
) -> None:
    draw = random.Random(seed)
    for name in RECORDS:
        content = (broken_off / name).read_bytes()
        (broken_off / name).write_bytes(spoil(content, draw))
    assert main([f"resume={broken_off}"]) == OK
    last = runs.rows(broken_off)[-1]
    assert last["val/loss"] == told(whole)["metrics.csv"][-1]["val/loss"]


@pytest.mark.parametrize("name", FILES)
def test_a_spoilt_file_of_a_run_is_read_or_named_in_a_line(
    broken_off: Path, name: str, whole: Path
) -> None:
    draw, content = random.Random(0), (whole / name).read_bytes()
    for _ in range(SPOILT):
        (broken_off / name).write_bytes(spoil(content, draw))
        said = refusal(lambda: read_run(broken_off))
        assert not said or name in said


@pytest.mark.parametrize("name", ["summary.json", ".hydra/overrides.yaml"])
def test_a_folder_whose_files_are_spoilt_does_not_stop_resume_from_looking_on(
    broken_off: Path, name: str
) -> None:
    draw, content = random.Random(0), (broken_off / name).read_bytes()
    request = [*OPTIONS, f"hydra.run.dir={broken_off}", "resume=auto"]
    for _ in range(8):
        (broken_off / name).write_bytes(spoil(content, draw))
        assert resumed(read(request)).overrides[: len(OPTIONS)]
