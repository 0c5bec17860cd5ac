"""Each way of growing over all hosts: means, and differences paired by host and seed.

Reads results.csv beside it (the report's runs.csv), writes pooled.csv and pooled.png.
"""

import csv
import math
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from kasmina.report.stats import holm, interval, paired

HERE = Path(__file__).parent
BASELINE = "biggest"
Runs = dict[tuple[str, str], dict[str, float]]


def read(path: Path) -> dict[str, Runs]:
    """The finished runs of each arm, by host and seed."""
    found: dict[str, Runs] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            host, arm = row["configuration"].split(", ", 1)
            if row["status"] == "finished":
                numbers = {name: float(row[name]) for name in ("test", "final")}
                numbers |= {"parameters": float(row["parameters"]), "flops": float(row["flops"])}
                found.setdefault(arm, {})[host, row["seed"]] = numbers
    return found


def differences(arm: Runs, base: Runs) -> list[float]:
    """Of test accuracy, in points."""
    return [100 * (arm[pair]["test"] - base[pair]["test"]) for pair in arm if pair in base]


def table(arms: dict[str, Runs]) -> list[dict[str, object]]:
    """A row an arm, Student's t on the pairs with Holm's correction."""
    base = arms[BASELINE]
    apart = {name: differences(runs, base) for name, runs in arms.items() if name != BASELINE}
    corrected = dict(zip(apart, holm([paired(d) for d in apart.values()]), strict=True))
    rows = []
    for name, runs in arms.items():
        tests = [100 * run["test"] for run in runs.values()]
        between = interval(apart.get(name, ()))
        means = {key: fmean(run[key] for run in runs.values()) for key in ("parameters", "flops")}
        whole = {"arm": name, "runs": len(runs), "test": fmean(tests)}
        whole |= {"final_val": fmean(100 * run["final"] for run in runs.values()), **means}
        whole |= {"difference": fmean(apart[name]) if name in apart else math.nan}
        whole |= {"low": between.low, "high": between.high}
        rows.append({**whole, "p_corrected": corrected.get(name, math.nan)})
    return rows


def draw(rows: list[dict[str, object]], arms: dict[str, Runs], path: Path) -> None:
    """Differences to the baseline beside mean parameters."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="tight")
    names = [str(row["arm"]) for row in rows]
    for place, row in enumerate(rows):
        if row["arm"] != BASELINE:
            apart = differences(arms[str(row["arm"])], arms[BASELINE])
            left.plot(apart, [place] * len(apart), "o", color="#b9c4d0", markersize=4)
            left.plot([row["low"], row["high"]], [place, place], color="#1f5a99", linewidth=3)
            left.plot([row["difference"]], [place], "o", color="#1f5a99", markersize=8)
        right.barh(place, float(str(row["parameters"])), color="#1f5a99", height=0.55)
    left.axvline(0, color="#888888", linewidth=1)
    left.set_xlabel(f"test accuracy minus {BASELINE}'s, points (each pair, mean, 95 %)")
    right.set_xlabel("parameters at the best validation, mean")
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    everything = read(HERE / "results.csv")
    pooled = table(everything)
    with (HERE / "pooled.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(pooled[0]))
        writer.writeheader()
        writer.writerows(pooled)
    draw(pooled, everything, HERE / "pooled.png")
    for each in pooled:
        print({k: round(v, 2) if isinstance(v, float) else v for k, v in each.items()})
