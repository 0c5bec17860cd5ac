"""``kasmina bench``: paired timings of growth on this machine, as a table and as JSON."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from kasmina.bench import sheet
from kasmina.bench.suite import COMPILED, EAGER, Plan, Row, Say, measure, plain_rows
from kasmina.bench.timing import Progress
from kasmina.usage import Parser, one_of

_PARTS = ("convnet", "gpt", "slots", "germination")
_MODES = (EAGER, COMPILED, "max-autotune-no-cudagraphs", "reduce-overhead")
_PIPE_WIDTH = 160  # characters, where no terminal says how wide it is


def parser() -> Parser:
    """Arguments of the command."""
    parser = Parser(
        prog="kasmina bench",
        description="What growth costs here: step time and peak memory of a grafted network in\n"
        "every stage of a seed, as ratios to the plain host, paired round by round in one run.",
        epilog="examples:\n  kasmina bench --quick\n  kasmina bench convnet --compile off\n"
        "  kasmina bench --rounds 30 --json bench.json",
    )
    parser.add_argument(
        "parts",
        metavar="PART",
        nargs="*",
        type=one_of("part", _PARTS),
        help=f"{', '.join(_PARTS)} (default: all)",
    )
    parser.add_argument(
        "--compile",
        nargs="+",
        default=[EAGER, COMPILED],
        type=one_of("mode of torch.compile", _MODES),
        help=f"modes of torch.compile: {', '.join(_MODES)} (default: off default)",
    )
    parser.add_argument("--rounds", type=int, default=20, help="measurements a case (default: 20)")
    parser.add_argument("--quick", action="store_true", help="tiny networks, to see that it runs")
    parser.add_argument("--device", default=_device(), help="cpu or cuda (default: what is here)")
    parser.add_argument("--json", type=Path, help="write the rows and the machine there as well")
    return parser


def answer(known: Namespace) -> None:
    """Measure, and show the table.

    Raises:
        ValueError: no round to measure, or a device that is not here.
    """
    if known.rounds < 1:
        raise ValueError(f"--rounds: at least 1; {known.rounds} came")
    if known.device not in {"cpu", _device()}:
        raise ValueError(f"--device: {known.device!r} is not here; possible: cpu, {_device()}")
    plan = Plan(
        parts=tuple(known.parts) or _PARTS,
        modes=tuple(known.compile),
        device=known.device,
        rounds=known.rounds,
        quick=known.quick,
    )
    with _progress() as say:
        rows = measure(plan, say)
    console = Console()
    console.width = console.width if console.is_terminal else _PIPE_WIDTH
    console.print(_table(rows))
    console.print("  ".join(f"{key} {value}" for key, value in sheet.machine().items()))
    if known.json:
        sheet.write_json(known.json, plain_rows(rows))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _progress() -> Iterator[Say]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:

        def say(part: str) -> Progress:
            task = bar.add_task(part, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield say


def _table(rows: list[Row]) -> Table:
    table = Table("network", "layout", "compile", "case", "ms", "ratio", "quartiles", "to")
    for name in ("peak MiB", "ratio", "target"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.network,
            row.layout,
            row.compiled,
            row.case,
            f"{row.ms:.4g}",
            _figure(row.ratio),
            f"{_figure(row.low)} {_figure(row.high)}",
            row.base,
            _figure(row.mib),
            _figure(row.memory_ratio),
            _verdict(row),
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    return f"<= {row.target:g} {'reached' if row.reached else '[bold]missed[/]'}"
