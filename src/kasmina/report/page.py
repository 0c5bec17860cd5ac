"""The report as one HTML file: no script, no network, light and dark, telephone and desk."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from kasmina._version import __version__
from kasmina.report import markup, scores, tables, units, words
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


def group_page(
    title: str,
    groups: Sequence[Configuration],
    plates: Sequence[Plate],
    *,
    faults: Mapping[Path, str],
    base: Path,
) -> str:
    """The page that compares configurations; links are as seen from ``base``."""
    left_out = tables.left_out(groups, faults, base)
    counted = any(group.runs for group in groups)
    return _page(
        title,
        above=f"Comparison of runs · {base.resolve().name}",
        status="",
        body=[
            markup.paragraphs(comparing(groups, faults)),
            markup.table(tables.configurations(groups)) if counted else "",
            *map(markup.plate, plates),
            markup.table(tables.runs(groups, base)) if counted else "",
            markup.table(left_out) if left_out.rows else "",
        ],
    )
