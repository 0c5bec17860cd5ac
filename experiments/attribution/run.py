"""How far is what a method says of a seed from what a twin without it shows? Re-runs the study."""

import argparse
import contextlib
import io
import logging
import multiprocessing
import statistics
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from omegaconf import OmegaConf

from kasmina.attribution import Subject, ablation, read_subject, recovery, twin_config
from kasmina.bench.sheet import Row, machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.hydra_api import compose
from kasmina.train import train

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
PROCESSES = 2
STEPS = (30, 100)
METHODS = ("ablation", *(f"recovery({steps})" for steps in STEPS))


@dataclass(frozen=True)
class Case:
    """A host, and the one seed that grows in it."""

    name: str
    host: tuple[str, ...]
    site: str
    blueprint: str


def convnet(name: str, widths: str, site: str, blueprint: str) -> Case:
    return Case(name, (f"host.widths={widths}",), site, blueprint)


CASES = (
    convnet("plain", "[8,8,8]", "stages.1", "conv_light"),
    convnet("narrow", "[4,4,4]", "stages.1", "conv_heavy"),
    convnet("narrow stem", "[2,8,8]", "stages.0", "conv_heavy"),
    convnet("narrow middle", "[8,2,8]", "stages.1", "conv_heavy"),
    convnet("narrow end", "[8,8,3]", "stages.2", "conv_heavy"),
    Case("perceptron", ("host=mlp", "host.widths=[6,6]", "slots=layers"), "layers.0", "mlp"),
)
"""Digits; all but the first are too small for it in one place or in all."""

LIFE = ((2, "germinate"), (2, "train"), (5, "blend"), (10, "fossilize"))
"""Ticks, which are epochs; alpha is 1 from the ninth on."""


def overrides(case: Case, seed: int, *, device: str, quick: bool) -> list[str]:
    """Of the run with the seed; that without it differs in the controller alone."""
    entries = [f"{{at:{at},site:{case.site},do:{event}}}" for at, event in LIFE]
    entries[0] = entries[0].replace("}", f",blueprint:{case.blueprint}}}")
    return [
        *case.host,
        *(f"blueprint=[{case.blueprint}]", "controller=schedule", "controller.pace=null"),
        f"controller.timeline=[{','.join(entries)}]",
        *(
            "data.val_size=600",
            "data.test_size=100",
            f"seed={seed}",
            "threads=1",
            "optimizer.lr=0.01",
        ),
        *(f"trainer={'gpu' if device == 'cuda' else 'cpu'}", "trainer.devices=1"),
        f"trainer.max_epochs={12 if quick else 20}",
        *("callbacks.progress=null", "callbacks.best=null", "+trainer.enable_progress_bar=false"),
        *("test=false", "report=false"),
    ]


def measured(case: Case, seed: int, device: str, quick: bool) -> Row:
    """Train the run and its twin, and ask every method; accuracies in points."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        run, twin = Path(name) / "run", Path(name) / "twin"
        config = compose(overrides(case, seed, device=device, quick=quick))
        config.paths.run_dir = str(run)
        plain: Any = OmegaConf.to_container(config, resolve=True)
        train(OmegaConf.create(plain))
        train(OmegaConf.create(twin_config(plain, twin)))
        grown, without = read_subject(run), read_subject(twin)
        values = said(grown)
    accuracy, truth = (100 * float(each.scores().mean()) for each in (grown, without))
    about = {"host": case.name, "site": case.site, "blueprint": case.blueprint, "seed": seed}
    about |= {"with": accuracy, "twin": truth, "true": accuracy - truth}
    return about | values


def said(grown: Subject) -> dict[str, float]:
    slots = grown.grown()
    found = ablation(grown, slots, lambda done, total: None)
    for steps in STEPS:
        found += recovery(grown, slots, lambda done, total: None, steps=steps)
    return {record.method: 100 * record.value for record in found}


def errors(rows: list[Row]) -> list[Row]:
    """Of each method against the twins, in points."""
    table = []
    for method in METHODS:
        off = [float(str(row[method])) - float(str(row["true"])) for row in rows]
        table.append(
            {
                "method": method,
                "seeds": len(off),
                "mean value": statistics.fmean(float(str(row[method])) for row in rows),
                "mean true": statistics.fmean(float(str(row["true"])) for row in rows),
                "mean error": statistics.fmean(off),
                "mean |error|": statistics.fmean(map(abs, off)),
                "median |error|": statistics.median(map(abs, off)),
                "spread (sd)": statistics.stdev(off) if len(off) > 1 else 0.0,
                "largest |error|": max(map(abs, off)),
            }
        )
    return table


def draw(rows: list[Row], path: Path) -> None:
    """What each method says over what is true, a point a seed."""
    figure, axes = plt.subplots(1, len(METHODS), figsize=(10.5, 3.9))
    true = [float(str(row["true"])) for row in rows]
    for axis, method, error in zip(axes, METHODS, errors(rows), strict=True):
        values = [*true, *(float(str(row[method])) for row in rows)]
        axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
        for host in dict.fromkeys(row["host"] for row in rows):
            own = [row for row in rows if row["host"] == host]
            axis.plot([r["true"] for r in own], [r[method] for r in own], "o", ms=4, label=host)
        axis.set_title(f"{method}: mean |error| {error['mean |error|']:.1f} points", fontsize=10)
        axis.set(xlabel="with the seed minus twin, points", xlim=(min(true) - 1, max(true) + 1))
        axis.set_ylim(min(values) - 1, max(values) + 1)
    axes[0].set_ylabel("what the method says, points")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def parse(argv: list[str] | None) -> argparse.Namespace:
    return study_parser(__doc__, HERE, rounds=6).parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    cases = CASES[3:4] if options.quick else CASES
    jobs = [(case, seed + 1) for seed in range(options.rounds) for case in cases]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        waiting = [pool.submit(measured, *job, options.device, options.quick) for job in jobs]
        rows = []
        for number, each in enumerate(waiting, 1):
            rows.append(each.result())
            print(f"{number}/{len(jobs)}: {rows[-1]}", flush=True)
    rows.sort(key=lambda row: [case.name for case in CASES].index(str(row["host"])))
    options.out.mkdir(parents=True, exist_ok=True)
    end = suffix(options.device)
    write_csv(options.out / f"results{end}.csv", rows)
    write_csv(options.out / f"errors{end}.csv", errors(rows))
    draw(rows, options.out / f"attribution{end}.png")
    print(markdown(errors(rows)), machine(), sep="\n")


if __name__ == "__main__":
    main()
