"""Tables of the report of one run, as plain text cells; the page escapes and lays them out."""

from dataclasses import dataclass

from kasmina.report import units
from kasmina.report.clock import Clock
from kasmina.report.records import Decision, Run

_MOST = 400  # decisions on the page; the rest lies in events.jsonl


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere."""

    text: str
    href: str


Cell = str | Link


@dataclass(frozen=True)
class Table:
    """Rows under a head; columns ``numeric`` stand flush right, columns ``prose`` wrap."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[str] = frozenset()
    prose: frozenset[str] = frozenset()
    note: str = ""


def decisions(run: Run) -> Table:
    """Every move of every slot; of very many, the first and the last."""
    clock = Clock(run.metrics)
    events = list(run.events)
    note = "Epochs count what was trained: the end of the record's epoch 0 is 1 here."
    if len(events) > _MOST:
        left = len(events) - _MOST
        note = f"{left:,} decisions in the middle are left out; events.jsonl has them all. {note}"
        events = events[: _MOST // 2] + events[-(_MOST // 2) :]
    return Table(
        caption="Decisions",
        head=("tick", "epoch", "slot", "move", "blueprint", "alpha", "by", "reason", "numbers"),
        rows=tuple(_decision(event, clock) for event in events),
        numeric=frozenset({"tick", "epoch", "alpha"}),
        prose=frozenset({"reason", "numbers"}),
        note=note,
    )


def _decision(event: Decision, clock: Clock) -> tuple[str, ...]:
    numbers = ", ".join(f"{name} {units.number(value)}" for name, value in event.numbers.items())
    return (
        str(event.when.tick),
        units.epoch(clock.epochs(event.when)),
        event.site,
        f"{event.before} → {event.after}",
        event.seed.blueprint,
        f"{event.seed.alpha:.3g}",
        event.by,
        event.reason,
        numbers,
    )


def making(run: Run) -> Table:
    """How the run was made: command, versions, machine, and where its checkpoints lie."""
    rows = [(key, _plain(value)) for key, value in run.environment.items()]
    rows += [(f"{name} checkpoint", path) for name, path in run.summary.checkpoints.items()]
    rows += [(f"{part} time", units.seconds(value)) for part, value in run.ledger.wall_s.items()]
    return Table("How it was made", ("what", "value"), tuple(rows), prose=frozenset({"value"}))


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
