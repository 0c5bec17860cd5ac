"""Child processes: as many at a time as there are places, and none that outlives a stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_PAUSE = 0.1  # seconds between two looks at the children


@dataclass(frozen=True)
class Work:
    """A process to be started.

    Attributes:
        number: of the job.
        command: with its arguments.
        log: the file that gets what it says, after what is there.
        environment: the whole of it, but for the places.
        need: places that it takes.
        keep: descriptors that it inherits.
    """

    number: int
    command: Sequence[str]
    log: Path
    environment: dict[str, str]
    need: int = 1
    keep: tuple[int, ...] = ()


class Places:
    """What jobs hold while they run: devices, or shares of the cores.

    Args:
        names: a name once for each job that it holds at a time.
        variable: of the environment, that tells a job its names; None: it need not know.
        most: jobs at a time; None: as the names allow.
    """

    def __init__(
        self, names: Sequence[str], *, variable: str | None = None, most: int | None = None
    ) -> None:
        self.variable, self._free, self._room = variable, list(names), most or len(names)
        self._order = list(dict.fromkeys(names))

    def room(self, need: int) -> int:
        """Jobs at a time that take ``need`` names each."""
        return max(1, min(self._room, len(self._free) // min(need, len(self._order))))

    def take(self, need: int) -> list[str] | None:
        """Different names, those that hold the fewest jobs; None while they are taken.

        A job that needs more than there are gets all of them: it will say itself what is wrong.
        """
        need = min(need, len(self._order))
        free = sorted(dict.fromkeys(self._free), key=self._free.count, reverse=True)
        if len(free) < need or self._room == 0:
            return None
        names = [name for name in self._order if name in free[:need]]
        for name in names:
            self._free.remove(name)
        self._room -= 1
        return names

    def give_back(self, names: Sequence[str]) -> None:
        """Of a job that has ended."""
        self._free.extend(names)
        self._room += 1


@dataclass
class Running:
    """A process, the places it holds, and when it was started."""

    work: Work
    process: subprocess.Popen[bytes]
    names: list[str]
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self.since


class Pool:
    """Runs work in the order in which it comes, as places become free."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.running: list[Running] = []
        self._waiting: Work | None = None

    def run(
        self,
        works: Iterator[Work],
        *,
        began: Callable[[Work], None],
        ended: Callable[[Running, int], None],
        idle: Callable[[], None],
    ) -> None:
        """Until all has ended.

        Ctrl-C and SIGTERM ask every child to save and end, and wait for it; once more, and all are
        killed. Either way none is left, nor a child of a child.

        Args:
            works: taken one by one, as late as can be.
            began: called for each.
            ended: called with the exit code of each; below 0 it is the signal that killed it.
            idle: called again and again in between.

        Raises:
            KeyboardInterrupt: once the children have ended.
        """
        with _sigterm_as_ctrl_c():
            try:
                while self._fill(works, began) or self.running:
                    self._reap(ended)
                    idle()
                    time.sleep(_PAUSE)
            finally:
                self._stop()

    def _fill(self, works: Iterator[Work], began: Callable[[Work], None]) -> bool:
        """Start what there is room for; whether there is more."""
        while True:
            work = self._waiting or next(works, None)
            self._waiting = work
            if work is None or (names := self.places.take(work.need)) is None:
                return work is not None
            self.running.append(self._start(work, names))
            self._waiting = None
            began(work)

    def _start(self, work: Work, names: list[str]) -> Running:
        environment = dict(work.environment)
        if self.places.variable:
            environment[self.places.variable] = ",".join(names)
        with work.log.open("ab") as log:
            process = subprocess.Popen(
                work.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=work.keep,
                start_new_session=True,  # Ctrl-C in the terminal is the parent's to pass on
            )
        return Running(work, process, names)

    def _reap(self, ended: Callable[[Running, int], None]) -> None:
        for each in list(self.running):
            if _has_ended(each.process):
                _kill_group(each.process)
                self.running.remove(each)
                self.places.give_back(each.names)
                ended(each, each.process.wait())

    def _stop(self) -> None:
        """Ask, then wait; a second Ctrl-C kills."""
        try:
            for each in self.running:
                each.process.terminate()  # a job saves, whichever of its ranks hears it
            for each in self.running:
                while not _has_ended(each.process):
                    time.sleep(_PAUSE)
        finally:
            for each in self.running:
                _kill_group(each.process)
                each.process.wait()
            self.running.clear()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without reaping it: until then its number, and that of its group, is nobody else's."""
    if process.returncode is not None or not hasattr(os, "waitid"):  # Windows, an older macOS
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """What a job leaves behind when it dies: the other ranks."""
    if sys.platform == "win32":
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # it is empty; the latter is macOS's word
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
