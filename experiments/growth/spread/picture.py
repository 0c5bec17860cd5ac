"""Right answers on unused images, a line a way and a panel a budget: results.csv to spread.png."""

import csv
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
COLOURS = {"from scratch": "#0072b2", "nothing asked": "#009e73"}
"""By how a way's name begins; the others race."""
RACES = "#d55e00"


def main() -> None:
    with (HERE / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    budgets = sorted({row["tflop"] for row in rows}, key=float)
    ways = {b: list(dict.fromkeys(r["way"] for r in rows if r["tflop"] == b)) for b in budgets}
    figure, panels = plt.subplots(
        len(budgets),
        figsize=(9, 1.6 + 0.27 * sum(map(len, ways.values()))),
        sharex=True,
        height_ratios=[len(ways[budget]) for budget in budgets],
    )
    for panel, budget in zip(panels, budgets, strict=True):
        for height, way in enumerate(reversed(ways[budget])):
            own = [row for row in rows if (row["tflop"], row["way"]) == (budget, way)]
            shares = [100 * float(row["unused_accuracy"]) for row in own]
            colour = next((c for name, c in COLOURS.items() if way.startswith(name)), RACES)
            panel.scatter(shares, [height] * len(own), color=colour, s=22, alpha=0.6)
            panel.plot([mean(shares)] * 2, [height - 0.35, height + 0.35], color=colour, lw=2)
        panel.set(yticks=range(len(ways[budget])), yticklabels=reversed(ways[budget]))
        panel.set_title(f"{budget} TFLOP", fontsize=10, loc="left")
        panel.set_ylim(-0.7, len(ways[budget]) - 0.3)
        panel.grid(axis="x", alpha=0.3)
    panels[-1].set_xlabel("right answers on 20,000 training images that no run uses, %")
    figure.tight_layout()
    figure.savefig(HERE / "spread.png", dpi=130)


if __name__ == "__main__":
    main()
