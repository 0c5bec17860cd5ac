"""A rank that dies, and what becomes of the others."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from runs import VECTORS, checkpoint

from kasmina.strategies.peers import RankLost, Watch, speaks_of_a_loss, together

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError(GLOO), True),
        (RuntimeError("[/x/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 5ms"), True),
        (dist.DistNetworkError("the client socket has failed to connect"), True),
        (dist.DistBackendError("NCCL error: remote process exited"), True),
        (dist.DistStoreError("Timed out after 9 seconds waiting for clients."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_errors_of_the_network_are_told_from_others(error: RuntimeError, lost: bool) -> None:
    assert speaks_of_a_loss(error) is lost


def test_an_error_of_the_run_itself_and_of_a_run_alone_passes_as_it_is(tmp_path: Path) -> None:
    for world, error in ((2, RuntimeError("shapes")), (1, RuntimeError(GLOO))):
        trainer = SimpleNamespace(world_size=world, global_rank=0, strategy=None)
        with pytest.raises(RuntimeError) as raised, together(trainer, tmp_path):  # type: ignore[arg-type]
            raise error
        assert raised.value is error


def test_the_one_line_says_who_died_how_and_where_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    killed, well = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["true"])
    watch = Watch(grace_s=60.0)
    watch.start(SimpleNamespace(children=[well, killed]))
    well.wait()
    assert watch.lost() is None
    killed.kill()
    trainer = SimpleNamespace(world_size=3, global_rank=0, strategy=SimpleNamespace(watch=watch))
    with pytest.raises(RankLost) as raised, together(trainer, tmp_path):  # type: ignore[arg-type]
        raise RuntimeError(GLOO)
    watch.stop()
    assert str(raised.value) == (
        f"rank 0: rank 2 was killed by signal 9; go on with: kasmina resume='{tmp_path}'"
    )


def _stuck(children: list["subprocess.Popen[bytes]"]) -> None:
    Watch(grace_s=0.1).start(SimpleNamespace(children=children))
    time.sleep(60)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_rank_that_no_collective_tells_is_ended_by_the_watch() -> None:
    def stuck() -> None:
        dying, other = subprocess.Popen(["false"]), subprocess.Popen(["sleep", "60"])
        numbers.put(other.pid)
        _stuck([dying, other])

    context = multiprocessing.get_context("fork")
    numbers = context.SimpleQueue()
    rank = context.Process(target=stuck)
    rank.start()
    other = numbers.get()
    rank.join(20)
    assert rank.exitcode == 1
    assert not Path(f"/proc/{other}/cmdline").exists() or not _runs(other)


def _runs(number: int) -> bool:
    state = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()[0]
    return state != "Z"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [pytest.param("child", marks=pytest.mark.long), "first"])
def test_a_killed_rank_ends_the_run_soon_with_one_line_and_a_checkpoint(
    victim: str, tmp_path: Path
) -> None:
    overrides = [*VECTORS, "trainer=ddp_sim", "trainer.max_epochs=2000", "hydra.run.dir=run"]
    command = [sys.executable, "-m", "kasmina", *overrides, "callbacks.progress=null"]
    with (tmp_path / "errors").open("w+") as errors:
        run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=errors)
        last = tmp_path / "run" / "checkpoints" / "last.ckpt"
        _until(last.is_file, 120)
        (child,) = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(child) if victim == "child" else run.pid, signal.SIGKILL)
        assert run.wait(30) == (1 if victim == "child" else -signal.SIGKILL)
        _until(lambda: not Path(f"/proc/{child}").exists() or not _runs(int(child)), 30)
        errors.seek(0)
        (line,) = [line for line in errors if line.startswith("ERROR")]
    told = "rank 1 was killed by signal 9" if victim == "child" else "rank 0 is gone"
    assert f"{told}; go on with: kasmina resume='{tmp_path / 'run'}'" in line
    assert checkpoint(last)["global_step"] > 0


def _until(done, seconds: float) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)
