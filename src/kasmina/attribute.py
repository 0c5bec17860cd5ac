"""``kasmina attribute RUN``: what its seeds have brought, by a named method, and which can go."""

import csv
import logging
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from kasmina import checkpoints
from kasmina.attribution import METHODS, Record, Subject, Verdict, read_subject
from kasmina.attribution.base import SPLITS, Say
from kasmina.bench.sheet import write_csv
from kasmina.faults import UsageFaults
from kasmina.usage import Parser, one_of

FILE = "attribution.csv"
PRUNE = "--prune"

_OPTIONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "steps": (30, ("recovery", PRUNE)),
    "permutations": (64, ("shapley",)),
    "twin": (None, ("twin",)),
    "margin": (0.01, (PRUNE,)),
    "write": (None, (PRUNE,)),
}
"""Defaults, and what takes the option."""


def parser() -> Parser:
    """Arguments of the command."""
    parser = Parser(
        prog="kasmina attribute",
        description="What each grown seed of a run has brought, at the run's last step: the\n"
        "monitored metric with the seed minus without it, paired over samples.\n\n"
        "  ablation   its alpha at 0; cheap, and too high: the host has adapted to it\n"
        "  recovery   a copy without it, after some steps of training; a copy with it as well\n"
        "  twin       the same run without seeds, trained into RUN/twin; all seeds together\n"
        "  shapley    its mean gain over all orders in which the seeds are added",
        epilog="examples:\n  kasmina attribute runs/default/2026-01-01_12-00-00-000000\n"
        "  kasmina attribute RUN --method twin --split test\n"
        "  kasmina attribute RUN --prune --margin 0.005 --write pruned.ckpt",
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder, or ckpt=FILE")
    parser.add_argument("--method", type=one_of("method", METHODS), help="default: recovery")
    parser.add_argument("--steps", type=int, help="optimizer steps of a recovery (default: 30)")
    parser.add_argument("--site", help="of the one seed to look at (default: all)")
    parser.add_argument(
        "--split",
        type=one_of("split", SPLITS),
        default="validation",
        help="whose samples are compared: validation (default), or test, read once at the end",
    )
    parser.add_argument("--twin", type=Path, metavar="RUN2", help="a twin that is there already")
    parser.add_argument(
        "--permutations", type=int, help="drawn where there are over ten seeds (default: 64)"
    )
    parser.add_argument("--out", type=Path, help=f"folder of {FILE} (default: beside RUN's files)")
    parser.add_argument(
        PRUNE, action="store_true", help="say which seeds can go, the least effective first"
    )
    parser.add_argument(
        "--margin", type=float, help="what a pruned seed may cost, in the metric (default: 0.01)"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="a checkpoint without them, for kasmina eval"
    )
    return parser


def answer(known: Namespace) -> None:
    """Measure, show the table, and write it.

    Raises:
        UsageFaults: an option that the method does not take.
        ValueError: no run, no grown seed, an unknown site, or a twin that is none.
        FileNotFoundError: no checkpoint.
    """
    _settle(known)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    place = Path(known.run.removeprefix("ckpt="))
    subject = read_subject(place, known.split)
    subject.chosen(known.site)
    with _progress(PRUNE.lstrip("-") if known.prune else known.method) as say:
        if known.prune:
            verdicts = _prune(known, place, subject, say)
            records, table = [each.record for each in verdicts], _verdicts(verdicts, known)
        else:
            records = _measure(known, place, subject, say)
            table = _table(records)
    console = Console()
    console.width = console.width if console.is_terminal else 140
    first = records[0]
    console.print(
        f"{first.method}: {first.metric}, {first.samples} samples; + helps", highlight=False
    )
    console.print(table)
    _say_of_all(known, records, console)
    print(_save(records, known.out or (place if place.is_dir() else place.parent)))


def _settle(known: Namespace) -> None:
    """Defaults, once it is clear that every option has somebody who takes it."""
    if known.prune and known.method:
        raise UsageFaults("--prune has a method of its own; leave --method out")
    known.method = known.method or "recovery"
    chosen = PRUNE if known.prune else known.method
    for name, (default, takers) in _OPTIONS.items():
        if getattr(known, name) is None:
            setattr(known, name, default)
        elif chosen not in takers:
            raise UsageFaults(f"--{name} is for {' and '.join(takers)}, and this is {chosen}")


def _measure(known: Namespace, place: Path, subject: Subject, say: Say) -> list[Record]:
    from kasmina import attribution

    slots = subject.chosen(known.site)
    methods: dict[str, Callable[[], list[Record]]] = {
        "ablation": lambda: attribution.ablation(subject, slots, say),
        "recovery": lambda: attribution.recovery(subject, slots, say, steps=known.steps),
        "twin": lambda: _twin(known, place, subject),
        "shapley": lambda: attribution.shapley(
            subject, slots, say, permutations=known.permutations
        ),
    }
    return methods[known.method]()


def _twin(known: Namespace, place: Path, subject: Subject) -> list[Record]:
    """Against the twin that is named, or that lies in the run's folder, or that is trained now."""
    import json

    from kasmina.attribution import twin, twin_config

    if known.twin is None and not place.is_dir():
        raise ValueError(f"{place} is a file; a twin belongs to a run's folder, or --twin names it")
    folder = known.twin or place / ("twin" if known.site is None else f"twin_{known.site}")
    if known.twin is None and not (folder / "summary.json").is_file():
        _train(twin_config(subject.config, folder, known.site))
    ledger = folder / "ledger.json"
    if not ledger.is_file():
        raise ValueError(f"{folder} is no run folder: it has no ledger.json")
    flops = json.loads(ledger.read_text())["flops"]["total"]
    slots = subject.chosen(known.site)
    return twin(subject, slots, read_subject(folder, known.split), flops=flops)


def _train(config: dict[str, Any]) -> None:
    from omegaconf import OmegaConf

    from kasmina.train import train

    if config["trainer"]["devices"] not in (1, "1") or config["trainer"]["num_nodes"] != 1:
        raise ValueError(
            "the run had several devices; train its twin as the run was trained, with "
            "controller=none, and name it by --twin"
        )  # Lightning would start the other ranks with this very command
    train(OmegaConf.create(config))


def _prune(known: Namespace, place: Path, subject: Subject, say: Say) -> list[Verdict]:
    from kasmina.attribution import pruned_checkpoint, triage

    module, verdicts = triage(subject, say, steps=known.steps, margin=known.margin, site=known.site)
    if known.write and not any(verdict.removable for verdict in verdicts):
        print(f"no seed is removable; {known.write} is not written")
    elif known.write:
        saved = checkpoints.read(_file(place))
        checkpoints.write(known.write, pruned_checkpoint(saved, module))
        print(f"the network without removable seeds: {known.write}")
    return verdicts


def _file(place: Path) -> Path:
    return place if place.is_file() else place / checkpoints.FOLDER / f"{checkpoints.LAST}.ckpt"


def _table(records: Sequence[Record]) -> Table:
    table = Table("site", "blueprint", "method", "brings", "95 % interval", "GFLOP", box=None)
    if any(record.error for record in records):
        table.add_column("Monte Carlo error")
    for record in records:
        error = [f"{record.error:.4f}"] if len(table.columns) > 6 else []
        table.add_row(record.site, record.blueprint, record.method, *_figures(record), *error)
    return table


def _verdicts(verdicts: Sequence[Verdict], known: Namespace) -> Table:
    table = Table("site", "blueprint", "effect of alpha", "lost without", "95 % interval", "GFLOP")
    table.add_column(f"removable (< {known.margin:g})")
    for verdict in verdicts:
        said = "yes" if verdict.removable else "no"
        effect = f"{verdict.effect:.3g}"
        table.add_row(verdict.site, verdict.blueprint, effect, *_figures(verdict.record), said)
    return table


def _figures(record: Record) -> tuple[str, str, str]:
    ends = f"{record.low:+.4f} {record.high:+.4f}"
    return f"{record.value:+.4f}", ends, f"{record.flops / 1e9:.3g}"


def _say_of_all(known: Namespace, records: Sequence[Record], console: Console) -> None:
    """What a reader of the table has to know."""
    if known.prune:
        return
    if known.method == "twin" and known.site is None:
        console.print("A twin without seeds: this is what all of them have brought together.")
    elif known.method == "shapley" and known.site is None:
        total = sum(record.value for record in records)
        console.print(f"sum of the values, what all bring together: {total:+.4f}", highlight=False)


def _save(records: Sequence[Record], folder: Path) -> Path:
    """Into the file, beside what other methods have said."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [asdict(record) for record in records]
    said = {(row["method"], row["metric"], row["site"]) for row in rows}
    if path.is_file():
        with path.open(newline="") as file:
            old = [dict(row) for row in csv.DictReader(file)]
        rows = [r for r in old if (r["method"], r["metric"], r["site"]) not in said] + rows
    write_csv(path, rows)
    return path


@contextmanager
def _progress(what: str) -> Iterator[Say]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def say(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield say
