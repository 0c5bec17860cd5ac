"""Reading a command's arguments: faults become one line that names what may have been meant."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from kasmina.faults import UsageFaults
from kasmina.suggest import unknown


class Parser(ArgumentParser):
    """An ``ArgumentParser`` that raises ``UsageFaults`` and never exits for a fault."""

    def __init__(self, **options: Any) -> None:
        options = {"formatter_class": RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise UsageFaults(message)

    def read(self, arguments: Sequence[str]) -> Namespace:
        """Arguments in any order.

        Raises:
            UsageFaults: one that is unknown, with the nearest known; one that is missing.
        """
        known, rest = self.parse_known_intermixed_args(list(arguments))
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings]
            wrong = [each for each in rest if each.startswith("-")]
            lines = [unknown("flag", each, flags) for each in wrong]
            raise UsageFaults(*lines or [f"too many arguments: {' '.join(rest)}"])
        return known


def one_of(what: str, names: Sequence[str]) -> Callable[[str], str]:
    """The type of an argument that is one of a few names."""

    def read(text: str) -> str:
        if text not in names:
            raise ArgumentTypeError(unknown(what, text, names))
        return text

    return read
