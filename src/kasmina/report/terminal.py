"""What the terminal says at the end of training."""

from collections.abc import Callable

from rich.markup import escape

from kasmina.report import scores, units
from kasmina.report.bill import parts_of, pruned_flops
from kasmina.report.records import Run
from kasmina.report.words import best_epoch


def summary_lines(run: Run, *, markup: bool = False) -> list[str]:
    """The run in a few lines.

    Args:
        markup: for rich (labels dim, texts escaped) instead of plain text.
    """
    pairs = [pair for tell in _TELLERS for pair in tell(run)]
    wide = max(len(label) for label, _ in pairs) + 2
    lines = [(label.ljust(wide), text) for label, text in pairs]
    if markup:
        return [f"[dim]{escape(label)}[/dim]{escape(text)}" for label, text in lines]
    return [label + text for label, text in lines]


def _outcome(run: Run) -> list[tuple[str, str]]:
    labels, spent = run.summary.labels, run.summary.spent
    reason = f" ({labels.reason})" if labels.reason else ""
    length = f"{units.plural(spent.epochs, 'epoch')}, {units.plural(spent.steps, 'step')}"
    return [(labels.name, f"{labels.status}{reason}, {length}, {units.seconds(spent.wall_s)}")]


def _metrics(run: Run) -> list[tuple[str, str]]:
    metric, best = run.goal.monitor, run.summary.score.best
    final = units.metric(metric, scores.final(run))
    text = f"final {final}"
    if best is not None:
        at = best_epoch(run)
        text = f"best {units.metric(metric, best.value)} (epoch {at}), {text}"
    lines = [(units.label(metric), text)]
    tested = scores.tested(run)
    if tested == tested:
        name = units.label(f"test/{scores.bare(metric)}")
        lines.append((name, units.metric(metric, tested)))
    return lines


def _size(run: Run) -> list[tuple[str, str]]:
    size = run.summary.parameters
    text = f"{units.count(size.host)} host + {units.count(size.grown)} grown"
    return [("parameters", f"{text} = {units.count(size.total)}")]


def _seeds(run: Run) -> list[tuple[str, str]]:
    seeds = run.summary.seeds
    text = f"{seeds.kept} kept, {seeds.pruned} pruned"
    return [("seeds", text + (f", {seeds.unfinished} open" if seeds.unfinished else ""))]


def _compute(run: Run) -> list[tuple[str, str]]:
    parts = parts_of(run.ledger)
    total = sum(parts.values())
    if not total:
        return []
    shares = [f"{name} {units.percent(value / total)}" for name, value in parts.items()]
    text = f"{units.flops(total)}: {', '.join(shares)}"
    lines = [("training compute", text)]
    if (pruned := pruned_flops(run.ledger)) > 0:
        share = units.percent(pruned / total)
        lines.append(("on pruned seeds", f"{units.flops(pruned)}, {share} of all"))
    return lines


def _compiled(run: Run) -> list[tuple[str, str]]:
    done = run.ledger.compiled
    if not done:
        return []
    text = f"{units.plural(int(done['graphs']), 'graph')} in {units.seconds(done['seconds'])}"
    if done["breaks"]:
        text += f", {units.plural(int(done['breaks']), 'graph break')}"
    return [("compiled", text)]


def _places(run: Run) -> list[tuple[str, str]]:
    lines = [("run folder", str(run.folder))]
    lines += [
        (f"{name} checkpoint", str(run.folder / path))
        for name, path in run.summary.checkpoints.items()
    ]
    page = run.folder / "report.html"
    if page.is_file():
        lines.append(("report", str(page)))
    return lines


_TELLERS: tuple[Callable[[Run], list[tuple[str, str]]], ...] = (
    *(_outcome, _metrics, _size, _seeds, _compute, _compiled, _places),
)
