"""The picture: graphs as they add up, and step times."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib

from kasmina.bench.sheet import Row

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {
    "float": "#D55E00",
    "tensor replaced": "#0072B2",
    "tensor cached in forward": "#CC79A7",
    "buffer filled": "#009E73",
    "eager": "#999999",
    "naive slots, whole": "#D55E00",
    "kasmina, whole": "#0072B2",
    "kasmina, blocks": "#009E73",
}
LINES = {"ConvNet": "-", "GPT": "--"}
WORDS = {"start": "before", "changes": "after all changes"}
STAGES = {"start": "dormant", "blend": "blending", "fossilize": "fossilized"}
MARKS = {"ConvNet": "o", "GPT": "s"}


def draw(
    rows: Sequence[Row],
    alphas: Mapping[str, Any],
    lives: Mapping[tuple[str, str], Any],
    path: Path,
    device: str,
) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(12, 8.5), layout="constrained")
    for width, (way, done) in zip((2, 6, 5, 2), alphas.items(), strict=True):
        axes[0, 0].plot(graphs(done), color=COLOURS[way], label=way, linewidth=width, alpha=0.8)
    axes[0, 0].axhline(8, color="black", linewidth=0.8, linestyle=":")
    axes[0, 0].annotate("torch's limit: 8, then eager", (99, 9), va="bottom", ha="right")
    axes[0, 0].set(title="Graphs while alpha moves, without a limit", xlabel="alpha changes")
    axes[0, 0].legend(loc="upper left")
    for (network, arm), done in lives.items():
        line = {"color": COLOURS[arm], "linestyle": LINES[network]}
        axes[1, 0].plot(graphs(done), **line, label=f"{arm}, {network}")
        fell = [i for i, (*_, eager) in enumerate(done) if eager]
        if fell:
            axes[1, 0].plot(fell[0], graphs(done)[fell[0]], "x", color="black", markersize=9)
    axes[1, 0].set(
        title="Graphs over whole lives (x: eager from here on)", xlabel="changes of the network"
    )
    axes[1, 0].legend(loc="upper left", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("graphs so far, aot_eager")
    timed = [row for row in rows if row["time"] != ""]
    dots(axes[0, 1], [row for row in timed if row["part"] == "alpha"])
    axes[0, 1].set(title="Step time at a still alpha", xlabel="time of a step / buffer filled")
    dots(axes[1, 1], [r for r in timed if r["part"] == "lives" and r["way"] != "eager"])
    axes[1, 1].set(title="Step time by stage", xlabel="time of a training step / eager")
    figure.suptitle(f"What a moving alpha and whole lives cost a compiled network, {device}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def graphs(done: Any) -> list[int]:
    return list(accumulate(compiled.graphs for _, compiled, _ in done))


def dots(axis: Any, rows: Sequence[Row]) -> None:
    labels = [
        f"{WORDS[row['at']]}: {row['way']}"
        if row["part"] == "alpha"
        else f"{row['network']} {STAGES[row['at']]}: {row['way']}"
        for row in rows
    ]
    for height, row in enumerate(rows):
        bar = [[row["time"] - row["low"]], [row["high"] - row["time"]]]
        style = {"color": COLOURS[row["way"]], "fmt": MARKS.get(str(row["network"]), "o")}
        axis.errorbar(row["time"], height, xerr=bar, markersize=5, **style)
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.axvline(1.0, color="black", linewidth=0.8)
    axis.grid(axis="y", alpha=0.3)
