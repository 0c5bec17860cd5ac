"""What the compiler did after each change of the network, for the ledger."""

from dataclasses import asdict
from typing import Any

from kasmina.compile_meter import Compiled, CompileMeter


class CompileLog:
    """One row for the start and one for each tick that changed the network.

    The compiler works at the first batch after a change, so a row holds what happened from its
    change to the next, alpha's moves and validations in between included.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._meter = CompileMeter()
        self._tick = 0
        self._changes: list[str] = []

    def start(self) -> None:
        """Training begins or goes on."""
        self._meter.start()

    def stop(self) -> None:
        """Training has ended."""
        self._settle()
        self._meter.stop()

    def on_change(self, tick: int, change: str) -> None:
        """A change was made at a tick; changes of one tick share a row."""
        if tick != self._tick or not self._changes:
            self._settle()
            self._tick, self._changes = tick, []
        self._changes.append(change)

    def report(self) -> dict[str, Any]:
        """Sums, and the rows in which anything was compiled."""
        self._settle()
        sums = {key: sum(row[key] for row in self.rows) for key in asdict(Compiled())}
        return {**sums, "changes": self.rows}

    def state_dict(self) -> list[dict[str, Any]]:
        """The rows so far."""
        self._settle()
        return [dict(row) for row in self.rows]

    def load_state_dict(self, rows: list[dict[str, Any]]) -> None:
        """Go on from rows of a run that was interrupted; this process compiles again."""
        self.rows = [dict(row) for row in rows]

    def _settle(self) -> None:
        done = self._meter.take()
        if not done:
            return
        row = {"tick": self._tick, "after": list(self._changes) or ["start"]}
        if self.rows and {key: self.rows[-1][key] for key in row} == row:
            last = self.rows.pop()
            row |= {key: last[key] + value for key, value in asdict(done).items()}
        else:
            row |= asdict(done)
        self.rows.append(row)
