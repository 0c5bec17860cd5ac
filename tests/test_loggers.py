"""Weights & Biases never asks: without a key it writes files."""

from pathlib import Path

import pytest

from kasmina.loggers import has_key, wandb


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_without_a_key_there_is_none() -> None:
    assert not has_key()


def test_a_key_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert has_key()


@pytest.mark.parametrize(("host", "found"), [("api.wandb.ai", True), ("elsewhere.org", False)])
def test_a_key_is_found_in_the_netrc_file_under_its_host(
    tmp_path: Path, host: str, found: bool
) -> None:
    (tmp_path / "netrc").write_text(f"machine {host} login user password secret\n")
    assert has_key() is found


def test_a_broken_netrc_file_holds_no_key(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine\n")
    assert not has_key()


def test_the_logger_is_offline_without_a_key(tmp_path: Path) -> None:
    logger = wandb(save_dir=str(tmp_path / "new"), project="p")
    assert logger._offline
    assert (tmp_path / "new").is_dir()


def test_a_run_folder_has_one_run_of_wandb_however_often_it_is_resumed(tmp_path: Path) -> None:
    first, again = (wandb(save_dir=str(tmp_path / "run"), project="p") for _ in range(2))
    other = wandb(save_dir=str(tmp_path / "other"), project="p")
    assert first.version == again.version != other.version
    assert wandb(save_dir=str(tmp_path / "run"), project="p", id="mine").version == "mine"
