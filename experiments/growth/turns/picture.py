"""Validation loss over parameters, a panel a task: from results.csv beside it to turns.png."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
LOOKS = {
    "a slot a race": ("o", "#0072b2"),
    "three slots a race, in the order of promise": ("s", "#d55e00"),
    "three slots a race, in the order of the probe": ("^", "#009e73"),
}
"""Marker and colour of each way."""


def main() -> None:
    with (HERE / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure, panels = plt.subplots(1, len(tasks), figsize=(3.1 * len(tasks), 3.6))
    for panel, task in zip(panels, tasks, strict=True):
        for way, (marker, colour) in LOOKS.items():
            own = [row for row in rows if (row["task"], row["way"]) == (task, way)]
            sizes = [float(row["parameters"]) / 1000 for row in own]
            losses = [float(row["val_loss"]) for row in own]
            panel.scatter(sizes, losses, marker=marker, color=colour, label=way, s=50)
        panel.set(title=task, xlabel="thousand parameters")
        panel.margins(0.2)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("validation loss, nats a sample")
    names, words = panels[0].get_legend_handles_labels()
    figure.legend(names, words, loc="lower center", ncols=len(LOOKS), frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(HERE / "turns.png", dpi=130)


if __name__ == "__main__":
    main()
