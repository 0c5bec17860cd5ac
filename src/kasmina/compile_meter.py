"""Counts what torch.compile does while a network trains: graphs, breaks, recompiles and seconds."""

import time
from dataclasses import dataclass

from torch._dynamo.callback import CallbackArgs, callback_handler
from torch._dynamo.utils import counters


@dataclass(frozen=True)
class Compiled:
    """What the compiler did in a span of time.

    Args:
        graphs: that were made for the first time; each has its backward with it.
        breaks: places at which a graph ended because the compiler could not read on.
        recompiles: code compiled once more because a guard failed: another mode, pass or size.
        seconds: the compiler took, backward graphs included.
    """

    graphs: int = 0
    breaks: int = 0
    recompiles: int = 0
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.graphs + self.breaks + self.recompiles > 0


class CompileMeter:
    """Listens to the compiler from ``start`` to ``stop``; ``take`` reads and begins anew."""

    def __init__(self) -> None:
        self._recompiles = 0
        self._seconds = self._since = 0.0
        self._counted = _counts()

    def start(self) -> None:
        """Count from here; what went before is not ours."""
        callback_handler.register_start_callback(self._on_start)
        callback_handler.register_end_callback(self._on_end)
        self._counted = _counts()

    def stop(self) -> None:
        """Listen no more."""
        if self._on_start in callback_handler.start_callbacks:
            callback_handler.remove_start_callback(self._on_start)
            callback_handler.remove_end_callback(self._on_end)

    def take(self) -> Compiled:
        """What was done since the last call."""
        graphs, breaks = _counts()
        done = Compiled(
            graphs=max(0, graphs - self._counted[0]),  # torch.compiler.reset() clears the counters
            breaks=max(0, breaks - self._counted[1]),
            recompiles=self._recompiles,
            seconds=self._seconds,
        )
        self._counted, self._recompiles, self._seconds = (graphs, breaks), 0, 0.0
        return done

    def _on_start(self, args: CallbackArgs) -> None:
        self._since = time.monotonic()
        _, _, again = str(args.compile_id).partition("/")  # frame/compile, 3/1 the second of 3
        if args.callback_trigger.name == "DYNAMO" and again not in {"", "0"}:
            self._recompiles += 1

    def _on_end(self, args: CallbackArgs) -> None:
        self._seconds += time.monotonic() - self._since


def _counts() -> tuple[int, int]:
    return counters["stats"]["unique_graphs"], sum(counters["graph_break"].values())
