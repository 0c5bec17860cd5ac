"""One line a run, and the picture: `python collect.py FOLDER`."""

import json
import sys
from pathlib import Path

import matplotlib

from kasmina.bench.sheet import Row, markdown, write_csv
from kasmina.report import read_run

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent


def row_of(folder: Path) -> Row:
    run = read_run(folder)
    overrides = json.loads((folder / "environment.json").read_text())["overrides"]
    told = dict(text.split("=", 1) for text in overrides)
    score, flops = run.summary.score, run.ledger.flops
    assert score.best is not None, f"{folder} was never validated"
    return {
        "interval": int(told["incubation.interval"]),
        "seed": int(told["seed"]),
        "parameters": run.summary.parameters.total,
        "best_validation": score.best.value,
        "test": score.test["test/accuracy"],
        "gflop": flops["total"] / 1e9,
        "incubation_share": flops["incubation"] / flops["total"],
    }


def draw(rows: list[Row], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharex=True)
    for axis, key, label in zip(
        axes,
        ("best_validation", "incubation_share"),
        ("best validation accuracy", "incubation, share of training FLOPs"),
        strict=True,
    ):
        for seed in sorted({row["seed"] for row in rows}):
            own = [row for row in rows if row["seed"] == seed]
            axis.plot(
                [str(r["interval"]) for r in own], [r[key] for r in own], "o-", label=f"seed {seed}"
            )
        axis.set(xlabel="steps from one shadow pass to the next", title=label)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


rows = sorted(
    (row_of(path.parent) for path in Path(sys.argv[1]).glob("*/summary.json")),
    key=lambda row: (row["interval"], row["seed"]),
)
write_csv(HERE / "results.csv", rows)
draw(rows, HERE / "interval.png")
print(markdown(rows))
