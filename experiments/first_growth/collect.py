"""One line a run: `python collect.py FOLDER > results.csv`."""

import csv
import sys
from pathlib import Path

from kasmina.report import Run, read_run

COLUMNS = (
    "experiment arm seed parameters best_validation final_validation test gflop pruned_share wall_s"
)


def main(folder: Path) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS.split())
    for path in sorted(folder.glob("*/*/*/summary.json")):
        run = read_run(path.parent)
        writer.writerow([*path.parent.relative_to(folder).parts, *_numbers(run)])


def _numbers(run: Run) -> list[str]:
    score, monitor, flops = run.summary.score, run.goal.monitor, run.ledger.flops
    assert score.best is not None, f"{run.folder} was never validated"
    return [
        f"{run.summary.parameters.total}",
        f"{score.best.value:.4f}",
        f"{score.final[monitor]:.4f}",
        f"{score.test[monitor.replace('val/', 'test/')]:.4f}",
        f"{run.summary.spent.flops / 1e9:.1f}",
        f"{flops['pruned_seeds'] / flops['total']:.3f}",
        f"{run.summary.spent.wall_s:.0f}",
    ]


main(Path(sys.argv[1]))
