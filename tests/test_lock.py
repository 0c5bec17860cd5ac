import subprocess
import sys

import pytest

from kasmina.lock import locked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX")


def test_a_folder_is_held_once(tmp_path):
    with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_child_that_inherits_it_holds_it_too(tmp_path):
    wait = [sys.executable, "-c", "input()"]
    with locked(tmp_path) as descriptors:
        child = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=descriptors)
    with pytest.raises(BlockingIOError), locked(tmp_path):
        pass
    child.communicate(b"\n")
    with locked(tmp_path):
        pass
