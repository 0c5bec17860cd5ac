"""The report as one HTML file: no script, no network, light and dark, telephone and desk."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from kasmina._version import __version__
from kasmina.report import grids, markup, scores, tables, units, words
from kasmina.report.compared import Compared
from kasmina.report.failures import Failure
from kasmina.report.groups import Configuration
from kasmina.report.markup import Card, Plate
from kasmina.report.parse import RunError
from kasmina.report.records import Run
from kasmina.report.verdict import comparing


def _page(title: str, *, above: str, status: str, body: Sequence[str]) -> str:
    style = files("kasmina.report").joinpath("page.css").read_text(encoding="utf-8")
    badge = f'<span class="badge {escape(status)}">{escape(status)}</span>' if status else ""
    inner = "\n".join(part for part in body if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<p class="above">{escape(above)}</p>
<h1>{escape(title)} {badge}</h1>
</header>
{inner}
<footer>Written by kasmina {escape(__version__)}.</footer>
</main>
</body>
</html>
"""


def run_page(run: Run, plates: Sequence[Plate]) -> str:
    """The page of one run."""
    labels = run.summary.labels
    facts = [f"seed {labels.seed}" if labels.seed is not None else "", labels.controller]
    return _page(
        labels.name,
        above=" · ".join(["Run", *filter(None, facts)]),
        status=labels.status,
        body=[
            markup.paragraphs(words.opening(run)),
            markup.cards(_cards(run)),
            *map(markup.plate, plates),
            markup.table(tables.decisions(run)) if run.events else "",
            markup.table(tables.making(run)),
            markup.folded("Resolved config", _config(run.folder)),
        ],
    )


def _config(folder: Path) -> str:
    path = folder / "config.yaml"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def _cards(run: Run) -> list[Card]:
    summary, metric = run.summary, run.goal.monitor
    size, seeds, spent = summary.parameters, summary.seeds, summary.spent
    incubation = run.ledger.flops.get("incubation", 0.0)
    share = incubation / spent.flops if spent.flops > 0 else 0.0
    fates = f"{seeds.pruned} pruned" + (f", {seeds.unfinished} open" if seeds.unfinished else "")
    return [
        Card(
            f"Best {units.label(metric)}",
            units.metric(metric, scores.best(run)),
            f"final {units.metric(metric, scores.final(run))}",
        ),
        Card(
            units.sentence(units.label(f"test/{scores.bare(metric)}")),
            units.metric(metric, scores.tested(run)),
            "read once, at the end" if summary.score.test else "not tested",
        ),
        Card("Parameters", units.count(size.total), f"host {units.count(size.host)}"),
        Card("Seeds kept", str(seeds.kept), fates),
        Card("Training compute", units.flops(spent.flops), f"{units.percent(share)} incubation"),
        Card("Time", units.seconds(spent.wall_s), units.plural(spent.epochs, "epoch")),
    ]


@dataclass(frozen=True)
class Comparison:
    """What the page of several runs shows.

    Args:
        question: that an ablation asks, or empty.
        groups: every configuration, finished or not.
        found: how those that can be compared compare.
        failed: runs and jobs that do not count.
        remark: on the baseline, or empty.
    """

    title: str
    question: str
    groups: Sequence[Configuration]
    found: Compared | None
    failed: Sequence[Failure]
    remark: str = ""


def group_page(it: Comparison, plates: Sequence[Plate], *, base: Path) -> str:
    """The page that compares configurations; links are as seen from ``base``."""
    left_out, found = grids.left_out(it.failed, base), it.found
    told = comparing(it.groups, found, it.failed)
    opening = [it.question, *told, it.remark, _drawn(found)]
    return _page(
        it.title,
        above=f"Comparison of runs · {base.resolve().name}",
        status="",
        body=[
            markup.paragraphs([text for text in opening if text]),
            markup.table(grids.configurations(found)) if found else "",
            markup.table(grids.comparisons(found)) if found and found.differences else "",
            *map(markup.plate, plates),
            markup.table(left_out) if left_out.rows else "",
            markup.table(grids.runs(it.groups, base)) if found else "",
        ],
    )


def _drawn(found: Compared | None) -> str:
    """A note where not all configurations have a colour."""
    if found is None or len(found.drawn) == len(found.groups):
        return ""
    return (
        f"The pictures tell {len(found.drawn)} of {len(found.groups)} configurations apart: the "
        f"best by {found.score.label}, and the baseline. The tables have all."
    )
