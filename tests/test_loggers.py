"""Weights & Biases never asks: without a key it writes files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kasmina.loggers import RunLogger, has_key, multirun_of, wandb
from kasmina.ranks import clean

KEY = "x" * 40


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("API_KEY", "BASE_URL", "MODE", "RUN_ID", "SWEEP_ID", "IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_without_a_key_there_is_none() -> None:
    assert not has_key()


@pytest.mark.parametrize(("key", "found"), [(KEY, True), ("too short", False), ("", False)])
def test_a_key_is_found_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, key: str, found: bool
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert has_key() is found


@pytest.mark.parametrize(
    ("host", "server", "found"),
    [
        ("api.wandb.ai", None, True),
        ("api.forge.coreweave.com", None, True),
        ("elsewhere.org", None, False),
        ("elsewhere.org:8080", "http://elsewhere.org:8080", True),
        ("api.wandb.ai", "http://elsewhere.org:8080", False),
    ],
)
def test_a_key_is_found_in_the_netrc_file_under_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, server: str | None, found: bool
) -> None:
    (tmp_path / "netrc").write_text(f"machine {host} login user password {KEY}\n")
    if server:
        monkeypatch.setenv("WANDB_BASE_URL", server)
    assert has_key() is found


def test_a_broken_netrc_file_holds_no_key(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine\n")
    assert not has_key()


def test_offline_false_without_a_key_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no key: `wandb login`") as caught:
        wandb(save_dir=str(tmp_path), offline=False)
    assert "\n" not in str(caught.value)


def test_log_model_is_false_true_or_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown log_model 'al'; did you mean 'all'"):
        RunLogger(save_dir=str(tmp_path), log_model="al")


ASKED = """
from kasmina.loggers import wandb
logger = wandb(save_dir="new", project="p")
print("offline", logger.experiment.offline)
logger.experiment.finish()
"""


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals are POSIX")
def test_a_terminal_is_never_asked_for_a_key(tmp_path: Path) -> None:
    """W&B asks where there is a terminal, WANDB_MODE is online and no key can be read."""
    import pty

    (tmp_path / "netrc").write_text("machine\n")
    outside, inside = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        stdin=inside,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean(os.environ), "WANDB_MODE": "online", "WANDB_SILENT": "true"},
        timeout=100,
    )
    os.close(inside)
    os.close(outside)
    assert (done.returncode, done.stdout) == (0, "offline True\n"), done.stderr
    assert "WANDB_MODE=online, but there is no key" in done.stderr
    assert list(tmp_path.rglob("run-*.wandb"))


def test_a_run_folder_has_one_run_of_wandb_however_often_it_is_resumed(tmp_path: Path) -> None:
    first, again = (wandb(save_dir=str(tmp_path / "run"), project="p") for _ in range(2))
    other = wandb(save_dir=str(tmp_path / "other"), project="p")
    assert first.version == again.version != other.version
    assert wandb(save_dir=str(tmp_path / "run"), project="p", id="mine").version == "mine"


def test_an_agent_names_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "of-agent")
    assert wandb(save_dir=str(tmp_path)).version == "of-agent"


@pytest.mark.parametrize("mark", ["command.json", "multirun.yaml"])
def test_the_jobs_of_a_multirun_are_a_group(tmp_path: Path, mark: str) -> None:
    job = tmp_path / "digits" / "2026" / "0_seed=1"
    job.mkdir(parents=True)
    assert multirun_of(job) is None
    (job.parent / mark).touch()
    assert multirun_of(job) == "digits/2026"
