"""A rank that dies ends the others, within a known time and with one line.

Where a collective reports it (gloo closes its connections at once), the exception is put into
words. Where none does (a rank that computes or is stuck in a collective on a GPU), a thread that
watches the other processes of this machine ends the rank. Over several machines nothing but the
process group's ``timeout`` bounds the wait.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from kasmina import checkpoints

GRACE_S = 20.0
"""Seconds from the death of a rank until the others are ended that have not ended by themselves."""
POLL_S = 0.5
"""Seconds from look to look at the other processes."""
FIRST = "KASMINA_RANK_0_PID"
"""Environment variable by which the first rank of a machine names itself to those it starts."""
PARTING_S = 5.0
"""Seconds that the others have to notice a loss by themselves, before the first rank ends them."""
SILENT = "another rank is gone, or has not answered in time"
WORDS = ("/gloo/", "Connection closed by peer", "Connection reset by peer", "Broken pipe")


class RankLost(ConnectionError):
    """Another process of the run is gone."""


class RankLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher of one process a device, whose observer leaves dead ranks to ``Watch``.

    Lightning's own kills the first rank with SIGKILL, in the middle of whatever it writes.
    """

    children: list["subprocess.Popen[bytes]"]

    def _call_children_scripts(self) -> None:
        os.environ[FIRST] = str(os.getpid())
        super()._call_children_scripts()
        del os.environ[FIRST]
        self.children, self.procs = self.procs, []

    def kill(self, signum: int) -> None:
        """Send a signal to every other rank that this process has started."""
        for child in getattr(self, "children", []):
            child.send_signal(signum)


class Watch:
    """A thread that notices when a process of this run that is on this machine has died.

    Args:
        grace_s: seconds between a death and the end of this process.
    """

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self._children: list[subprocess.Popen[bytes]] = []
        self._parent: int | None = None
        self._over = threading.Event()

    def start(self, launcher: Any) -> None:
        """Watch the ranks that ``launcher`` has started, or the one that has started this one."""
        self._children = getattr(launcher, "children", [])
        # not of torchrun, SLURM or a shell: they look after their ranks, or may go before them
        self._parent = int(os.environ[FIRST]) if FIRST in os.environ else None
        if self._children or self._parent:
            self._over.clear()
            threading.Thread(target=self._look, name="rank-watch", daemon=True).start()

    def stop(self) -> None:
        """The run is over, and nothing is left that could wait for another rank."""
        self._over.set()

    def wait(self) -> str | None:
        """Who is gone, once the ranks that this process has started have ended, those that hang
        with force; None where it is not known."""
        who, until = self.lost(), time.monotonic() + PARTING_S
        while time.monotonic() < until and (who is None or self._alive()):
            time.sleep(0.05)
            who = who or self.lost()
        for child in self._alive():
            child.kill()
        return who

    def _alive(self) -> list["subprocess.Popen[bytes]"]:
        return [child for child in self._children if child.poll() is None]

    def lost(self) -> str | None:
        """Who is gone, None where everyone is there or has ended well."""
        for rank, child in enumerate(self._children, start=1):
            if child.poll():
                return f"rank {rank} {_ended(child.returncode)}"
        if self._parent is not None and os.getppid() != self._parent:
            return "rank 0 is gone"
        return None

    def _look(self) -> None:
        while not self._over.wait(POLL_S):
            if (who := self.lost()) is not None:
                time.sleep(self.grace_s)
                print(f"{who}; this rank has waited for it and ends", file=sys.stderr, flush=True)
                for child in self._children:
                    child.kill()
                os._exit(1)


@contextmanager
def together(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Put the loss of another rank into words.

    Args:
        folder: of the run, which can go on there.

    Raises:
        RankLost: a collective has failed because another rank is gone, or has not come in time.
    """
    try:
        yield
    except RuntimeError as error:
        if trainer.world_size == 1 or not speaks_of_a_loss(error):
            raise
        watch = getattr(trainer.strategy, "watch", None)
        who = (watch.wait() if isinstance(watch, Watch) else None) or SILENT
        last = folder / checkpoints.FOLDER / f"{checkpoints.LAST}.ckpt"
        then = f"go on with: kasmina resume='{folder}'" if last.is_file() else "no checkpoint yet"
        raise RankLost(f"rank {trainer.global_rank}: {who}; {then}") from error


def speaks_of_a_loss(error: RuntimeError) -> bool:
    """Whether a collective says that another process is gone or silent."""
    known = isinstance(error, dist.DistError)
    return known or any(word in str(error) for word in WORDS)


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
