"""One program at a time in a folder."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # what some network disks answer


@contextmanager
def locked(folder: Path) -> Iterator[tuple[int, ...]]:
    """Hold a folder while the block runs, and as long as a child that inherits the descriptor.

    Yields the descriptors to be inherited. Where the system or its disk has no locks, nothing is
    held.

    Raises:
        BlockingIOError: another holds it.
    """
    if sys.platform == "win32":
        yield ()
        return
    import fcntl

    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield (file.fileno(),)
