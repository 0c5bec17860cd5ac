"""Tables of the report, as plain text cells; the page escapes and lays them out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kasmina.report import scores, units
from kasmina.report.clock import Clock
from kasmina.report.groups import Configuration
from kasmina.report.records import Decision, Run

_MOST = 400  # decisions on the page; the rest lies in events.jsonl

_MEASURES = ("n", "best", "final", "test", "seeds kept", "parameters", "compute")


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


def configurations(groups: Sequence[Configuration]) -> Table:
    """A row a configuration: mean and standard deviation over its finished runs."""
    return Table(
        caption="Configurations",
        head=("configuration", *_MEASURES),
        rows=tuple(_configuration(group) for group in groups if group.runs),
        numeric=frozenset(_MEASURES),
        note="Mean ± sample standard deviation over the finished runs of a configuration. Best and "
        "final are on the validation split; test and parameters belong to the best validation.",
    )


def _configuration(group: Configuration) -> tuple[str, ...]:
    metric = group.runs[0].goal.monitor
    measures = (scores.best, scores.final, scores.tested)
    spreads = [group.spread(measure) for measure in measures]
    return (
        group.label,
        str(len(group.runs)),
        *(units.spread(metric, spread.mean, spread.deviation) for spread in spreads),
        units.digits(group.spread(scores.kept).mean, 2),
        units.count(group.spread(scores.parameters).mean),
        units.flops(group.spread(scores.flops).mean),
    )


def runs(groups: Sequence[Configuration], base: Path) -> Table:
    """A row a finished run, with a link to its own report where there is one."""
    return Table(
        caption="Runs",
        head=("run", "configuration", "seed", "best", "final", "test", "kept", "pruned", "compute"),
        rows=tuple(_run(run, group.label, base) for group in groups for run in group.runs),
        numeric=frozenset({"seed", "best", "final", "test", "kept", "pruned", "compute"}),
    )


def place(folder: Path, base: Path) -> str:
    """The folder as seen from ``base``."""
    return Path(os.path.relpath(folder.resolve(), base.resolve())).as_posix()


def _run(run: Run, label: str, base: Path) -> tuple[Cell, ...]:
    metric, seeds = run.goal.monitor, run.summary.seeds
    values = (scores.best(run), scores.final(run), scores.tested(run))
    return (
        _linked(run.folder, base),
        label,
        str(run.summary.labels.seed if run.summary.labels.seed is not None else units.NOTHING),
        *(units.metric(metric, value) for value in values),
        str(seeds.kept),
        str(seeds.pruned),
        units.flops(scores.flops(run)),
    )


def _linked(folder: Path, base: Path) -> Cell:
    where = place(folder, base)
    page = folder / "report.html"
    return Link(where, f"{where}/report.html") if page.is_file() else where


def left_out(groups: Sequence[Configuration], faults: Mapping[Path, str], base: Path) -> Table:
    """The runs that do not count, and why."""
    rows: list[tuple[Cell, ...]] = [
        (_linked(run.folder, base), group.label, run.status, _reason(run))
        for group in groups
        for run in group.others
    ]
    rows += [(place(folder, base), "", "unreadable", reason) for folder, reason in faults.items()]
    head = ("run", "configuration", "status", "reason")
    return Table("Runs that do not count", head, tuple(rows), prose=frozenset({"reason"}))


def _reason(run: Run) -> str:
    """What the record says, else how far it came."""
    if run.summary.labels.reason:
        return run.summary.labels.reason
    spent = run.summary.spent
    return f"{run.status} after {units.plural(spent.epochs, 'epoch')}, {spent.steps:,} steps"


def making(run: Run) -> Table:
    """How the run was made: command, versions, machine, and where its checkpoints lie."""
    rows = [(key, _plain(value)) for key, value in run.environment.items()]
    rows += [(f"{name} checkpoint", path) for name, path in run.summary.checkpoints.items()]
    rows += [(f"{part} time", units.seconds(value)) for part, value in run.ledger.wall_s.items()]
    return Table("How it was made", ("what", "value"), tuple(rows), prose=frozenset({"value"}))


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
