import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest

from kasmina.pool import Places, Pool, Running, Work

pytestmark = pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")


def work(number: int, folder: Path, script: str, need: int = 1) -> Work:
    command = ["sh", "-c", script]
    return Work(number, command, folder / f"{number}.log", {**os.environ, "MINE": "1"}, need)


def ran(pool: Pool, works: list[Work]) -> tuple[list[tuple[int, int]], int]:
    """Run works; number and exit code of each as they ended, and the most that ran at a time."""
    codes: list[tuple[int, int]] = []
    most = 0

    def ended(running: Running, code: int) -> None:
        codes.append((running.work.number, code))

    def began(work: Work) -> None:
        nonlocal most
        most = max(most, len(pool.running))

    pool.run(iter(works), began=began, ended=ended, idle=lambda: None)
    return codes, most


@pytest.mark.parametrize(("places", "need"), list(product((1, 2, 3, 4), (1, 2, 3, 5))))
def test_places_are_shared_out_without_overlap(places, need):
    free = Places([str(index) for index in range(places)])
    held = []
    while (names := free.take(need)) is not None:
        held.append(names)
    assert [len(names) for names in held] == [min(need, places)] * (places // min(need, places))
    flat = [name for names in held for name in names]
    assert flat == sorted(set(flat))
    free.give_back(held[0])
    again = free.take(need)
    assert len(again) == len(held[0])
    assert not set(again) & {name for names in held[1:] for name in names}


def test_a_device_that_two_jobs_share_is_filled_last():
    free = Places(["a", "b", "a", "b"])
    assert [free.take(1) for _ in range(5)] == [["a"], ["b"], ["a"], ["b"], None]


def test_a_job_gets_different_devices():
    free = Places(["a", "b", "a", "b"])
    assert [free.take(2) for _ in range(3)] == [["a", "b"], ["a", "b"], None]


def test_a_limit_goes_before_the_places():
    free = Places(["a", "b", "c"], most=1)
    assert free.take(1) == ["a"]
    assert free.take(1) is None


def test_children_run_in_order_and_only_as_many_as_there_are_places(tmp_path):
    works = [work(n, tmp_path, f"echo {n}; exit {n}") for n in range(5)]
    codes, most = ran(Pool(Places(["0", "1"])), works)
    assert sorted(codes) == [(n, n) for n in range(5)]
    assert most == 2
    assert [(tmp_path / f"{n}.log").read_text() for n in range(5)] == [f"{n}\n" for n in range(5)]


def test_a_child_is_told_its_places_and_its_environment(tmp_path):
    pool = Pool(Places(["4", "7"], variable="DEVICES"))
    ran(
        pool, [work(0, tmp_path, "echo $DEVICES $MINE", need=2), work(1, tmp_path, "echo $DEVICES")]
    )
    assert (tmp_path / "0.log").read_text() == "4,7 1\n"
    assert (tmp_path / "1.log").read_text() == "4\n"


def test_a_signal_that_kills_a_child_is_its_code(tmp_path):
    codes, _ = ran(Pool(Places(["0"])), [work(0, tmp_path, "kill -9 $$")])
    assert codes == [(0, -9)]


def test_what_a_child_leaves_behind_is_killed(tmp_path):
    ran(Pool(Places(["0"])), [work(0, tmp_path, f"sleep 1000 & echo $! > {tmp_path}/pid")])
    assert gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> bool:
    """Whether a process ends soon; one that nobody has reaped counts as ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


PARENT = """
import os, sys
from pathlib import Path
from kasmina.pool import Places, Pool, Work
script = "trap '%s' TERM; sleep 1000 & echo $! $$ > pids; wait; wait" % sys.argv[1]
work = Work(0, ["sh", "-c", script], Path("log"), dict(os.environ))
try:
    Pool(Places(["0"])).run(iter([work]), began=print, ended=print, idle=lambda: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("child", "signals"),
    [("echo saved; exit", 1), ("echo deaf", 2)],
    ids=["one asks", "two kill"],
)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_a_child_and_its_children(tmp_path, child, signals, first):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, child],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    log, pids = tmp_path / "log", tmp_path / "pids"
    wait_for(lambda: pids.is_file() and pids.read_text().endswith("\n"))
    parent.send_signal(first)
    wait_for(lambda: bool(log.read_text()))
    if signals == 2:
        assert parent.poll() is None
        parent.send_signal(first)
    assert parent.wait(timeout=20) == 130
    assert log.read_text() == child.removesuffix("; exit").removeprefix("echo ") + "\n"
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def wait_for(true) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()
