"""What ends the program with a line instead of a traceback."""

from typing import ClassVar


class UsageFaults(ValueError):
    """The command line is wrong; a line each."""

    kind: ClassVar[str] = "error"

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class ConfigFaults(UsageFaults):
    """The config is wrong."""

    kind: ClassVar[str] = "config error"


class RunFailed(RuntimeError):
    """A run ended with an error that its user can mend; the terminal has shown it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; the message says where it can go on."""
