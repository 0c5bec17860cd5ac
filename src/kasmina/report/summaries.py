"""Turn summary.json and ledger.json into records."""

from pathlib import Path

from kasmina.report import records
from kasmina.report.parse import Fields, read_json


def _bill(row: Fields) -> records.SeedBill:
    return records.SeedBill(
        site=row.text("site"),
        blueprint=row.text("blueprint"),
        germinated_tick=row.integer("germinated_tick"),
        fate=row.text("fate"),
        flops=row.number("flops"),
    )


def read_ledger(path: Path) -> records.Ledger:
    """Where the FLOPs went, by part and by seed."""
    whole = read_json(path)
    seeds = [Fields(seed, f"{path}: seeds") for seed in whole.get("seeds") or ()]
    return records.Ledger(
        flops=whole.part("flops").numbers(),
        wall_s=whole.part("wall_s").numbers(),
        seeds=tuple(map(_bill, seeds)),
        compiled=_compiled(whole) if whole.values.get("compile") else {},
    )


def _compiled(whole: Fields) -> dict[str, float]:
    part = whole.part("compile")
    if not part.values.get("graphs"):
        return {}
    return {key: part.number(key) for key in ("graphs", "breaks", "recompiles", "seconds")}


def read_summary(path: Path) -> records.Summary:
    """The run in short, as the record callback saw it."""
    whole = read_json(path)
    return records.Summary(
        labels=_labels(whole),
        goal=records.Goal(whole.text("monitor"), whole.text("mode")),
        score=_score(whole),
        parameters=_parameters(whole.part("parameters")),
        seeds=_seed_counts(whole.part("seeds")),
        spent=records.Spent(
            epochs=whole.integer("epochs"),
            steps=whole.integer("steps"),
            wall_s=whole.number("wall_s"),
            flops=whole.number("flops"),
        ),
        checkpoints={k: str(v) for k, v in whole.part("checkpoints").values.items() if v},
    )


def _labels(whole: Fields) -> records.Labels:
    return records.Labels(
        name=whole.text("name"),
        status=whole.text("status"),
        seed=None if whole.get("seed") is None else whole.integer("seed"),
        controller=whole.text("controller"),
        reason=str(whole.values.get("reason") or ""),
    )


def _score(whole: Fields) -> records.Score:
    best = whole.part("best")
    return records.Score(
        best=_best(best) if best.values.get("value") is not None else None,
        final=whole.part("final").numbers(),
        test=whole.part("test").numbers(),
    )


def _best(best: Fields) -> records.Best:
    return records.Best(best.number("value"), best.integer("epoch"), best.integer("tick"))


def _parameters(part: Fields) -> records.Parameters:
    return records.Parameters(part.integer("host"), part.integer("grown"), part.integer("total"))


def _seed_counts(part: Fields) -> records.SeedCounts:
    return records.SeedCounts(
        part.integer("kept"), part.integer("pruned"), part.integer("unfinished")
    )
