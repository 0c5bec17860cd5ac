"""The paragraph that opens the report of one run: what grew, what it cost, what it bought."""

import math
from collections.abc import Sequence

from kasmina.report import scores, units
from kasmina.report.bill import pruned_flops
from kasmina.report.clock import Clock
from kasmina.report.lives import ACTS, KEPT, OPEN, PRUNED, Life, first_blending, lives_of
from kasmina.report.records import Moment, Run

_MOST = 4  # seeds that are named; the table of decisions has them all
_AND = ", "
_FATES = {KEPT: "kept", PRUNED: "pruned", OPEN: "still without a fate when the record ends"}


def opening(run: Run) -> list[str]:
    """One paragraph in plain English and, where seeds acted on the network, one of caveats."""
    parts = (_outcome(run), _growth(run), _cost(run), _bought(run), _tested(run), _size(run))
    return [text for text in (" ".join(filter(None, parts)), _caveat(run)) if text]


def _outcome(run: Run) -> str:
    labels, spent = run.summary.labels, run.summary.spent
    seed = "" if labels.seed is None else f" (seed {labels.seed})"
    reason = f" ({labels.reason})" if labels.reason else ""
    ways = {
        "finished": "finished after",
        "diverged": "diverged, and was stopped after",
        "interrupted": "was interrupted after",
        "pruned": "was stopped by its search, because other trials were better, after",
        "failed": "failed after",
        "unfinished": "is unfinished, so everything here is provisional: it has recorded",
    }
    way = ways.get(labels.status, f"ended as {labels.status!r} after")
    length = f"{units.plural(spent.epochs, 'epoch')} ({units.plural(spent.steps, 'step')})"
    device = run.environment.get("device")
    where = f" on {device}" if device else ""
    return f"{labels.name}{seed} {way} {length} in {units.seconds(spent.wall_s)}{where}{reason}."


def _growth(run: Run) -> str:
    lives = lives_of(run.events)
    if not lives:
        return _nothing_grew(run)
    groups = [(fate, [it for it in lives if it.fate == fate]) for fate in (KEPT, PRUNED, OPEN)]
    met = [(fate, its) for fate, its in groups if its]
    seeds = units.plural(len(lives), "seed")
    if len(met) == 1:
        were = "and was" if len(lives) == 1 else "and all were"
        said = [f"{seeds} germinated {were} {_FATES[met[0][0]]}: {_named(run, lives)}."]
    else:
        each = (f"{_was(its)} {_FATES[fate]}: {_named(run, its)}." for fate, its in met)
        said = [f"{seeds} germinated.", *each]
    return " ".join([*said, *_remarks(lives)])


def _remarks(lives: Sequence[Life]) -> list[str]:
    """What a reader could take for granted and should not."""
    if first_blending(lives) is None:
        return ["None began to blend, so the network computes what its host computes."]
    if all(it.fate == PRUNED for it in lives):
        return ["Nothing was kept, so the network ends with the modules it began with."]
    return []


def _nothing_grew(run: Run) -> str:
    if not run.sites:
        return "The host has no slots, so nothing could grow."
    slots = units.plural(len(run.sites), "slot")
    controller = run.summary.labels.controller
    by = f" under controller {controller!r}" if controller else ""
    so_far = " so far" if run.status == "unfinished" else ""
    return f"Nothing grew{so_far}: no seed germinated in its {slots}{by}, so this is the bare host."


def _named(run: Run, lives: Sequence[Life]) -> str:
    """``conv at stages.1 (epoch 5 to 16), se at stages.2 (epoch 7 to 20) and 3 others``."""
    clock = Clock(run.metrics)
    named = [f"{it.blueprint} at {it.site} ({_span(it, clock)})" for it in lives[:_MOST]]
    more = len(lives) - len(named)
    if more:
        named.append(units.plural(more, "other"))
    *first, last = named
    return f"{_AND.join(first)} and {last}" if first else last


def _span(life: Life, clock: Clock) -> str:
    start = f"epoch {units.epoch(clock.epochs(life.germinated))}"
    if life.ended is None:
        return f"{life.stage}, born in {start}"
    return f"{start} to {units.epoch(clock.epochs(life.ended))}"


def _was(lives: Sequence[Life]) -> str:
    return f"{len(lives)} was" if len(lives) == 1 else f"{len(lives)} were"


def _cost(run: Run) -> str:
    total = run.summary.spent.flops
    if not (math.isfinite(total) and total > 0):
        return "The training compute was not recorded."
    flops = run.ledger.flops
    parts = {"incubation": "for incubating seeds", "evaluation": "for evaluation"}
    shares = [
        f"{units.percent(flops[part] / total)} {purpose}"
        for part, purpose in parts.items()
        if flops.get(part, 0.0) > 0
    ]
    of_it = f", of it {_AND.join(shares)}" if shares else ""
    pruned = pruned_flops(run.ledger)
    wasted = f"; {units.percent(pruned / total)} went to seeds that were pruned later"
    return f"Training cost {units.flops(total)}{of_it}{wasted if pruned > 0 else ''}."


def _value_at(run: Run, when: Moment) -> float:
    """The metric at the last validation until then."""
    rows = [row for row in run.metrics if row.when.step <= when.step]
    return rows[-1].values.get(run.goal.monitor, math.nan) if rows else math.nan


def _bought(run: Run) -> str:
    name, best = run.goal.monitor, run.summary.score.best
    if best is None or not run.metrics:
        return "No validation gave a finite value, so there is no metric to report."
    when = best_epoch(run)
    final = scores.final(run)
    ended = f"at {units.metric(name, final)}" if math.isfinite(final) else "without a finite value"
    reached = f"reached its best, {units.metric(name, best.value)}, at epoch {when}"
    return f"{units.sentence(units.label(name))} {reached} and ended {ended}{_since_blending(run)}."


def best_epoch(run: Run) -> str:
    """Epochs trained at the best validation."""
    at = scores.best_row(run)
    return units.NOTHING if at is None else units.epoch(Clock(run.metrics).all_epochs()[at])


def _since_blending(run: Run) -> str:
    blended = first_blending(lives_of(run.events))
    if blended is None:
        return ""
    before = _value_at(run, blended)
    change = scores.final(run) - before
    if not math.isfinite(change):
        return ""
    name = run.goal.monitor
    stood = f"before the first seed was blended in it stood at {units.metric(name, before)}"
    if change == 0:
        return f"; {stood}, the same"
    better = "better" if run.goal.better(scores.final(run), before) else "worse"
    return f"; {stood}, so the end is {units.change(name, change)} {better}"


def _tested(run: Run) -> str:
    value = scores.tested(run)
    if math.isnan(value):
        return "" if run.status == "unfinished" else "It was not tested."
    name = f"test/{scores.bare(run.goal.monitor)}"
    size = scores.parameters(run)
    then = f", measured on the network of that best validation ({units.count(size)} parameters)"
    apart = "" if size == run.summary.parameters.total else then
    return f"The {units.label(name)} is {units.metric(name, value)}{apart}."


def _size(run: Run) -> str:
    size = run.summary.parameters
    if not size.total or size.total == size.host:
        return f"The network has {units.count(size.total)} parameters, all of them the host's."
    ratio = f", {units.digits(size.total / size.host)} times as many" if size.host else ""
    return (
        f"The network went from {units.count(size.host)} parameters (host) to "
        f"{units.count(size.total)}{ratio}."
    )


def _contributions(run: Run) -> list[tuple[Life, float]]:
    """The last measured contribution of every seed that was not pruned."""
    found = []
    for life in lives_of(run.events):
        if life.fate == PRUNED:
            continue
        measured = [
            state.contribution
            for state in run.timeline
            if state.site == life.site
            and state.when.step >= life.germinated.step
            and state.stage in ACTS
            and math.isfinite(state.contribution)
        ]
        found += [(life, measured[-1])] if measured else []
    return found


def _caveat(run: Run) -> str:
    if first_blending(lives_of(run.events)) is None:
        return ""
    said = [
        "The host went on learning beside the seeds, so a gain since blending is not theirs alone; "
        "a static host of the same size or compute, trained as long, is the comparison that counts."
    ]
    found = _contributions(run)
    if found:
        name = run.goal.monitor
        each = [f"{it.blueprint} at {it.site} {_brings(name, v)}" for it, v in found[:_MOST]]
        if more := len(found) - len(each):
            each.append(f"with {units.plural(more, 'other')} measured")
        said.append(
            f"When last measured against the same network without it, {_AND.join(each)}. "
            "This ablation overstates what a seed is worth, because the host has adapted to it."
        )
    return " ".join(said)


def _brings(name: str, gain: float) -> str:
    """``made it 8.0 points better``; a gain is positive whichever way the metric goes."""
    return f"made it {units.change(name, gain)} {'better' if gain >= 0 else 'worse'}"
