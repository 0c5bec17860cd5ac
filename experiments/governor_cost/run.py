"""What does the governor cost a training step? Re-runs the study."""

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
from lightning import Callback, LightningModule, Trainer
from omegaconf import OmegaConf

from kasmina.assembly import assemble
from kasmina.bench.sheet import Row, machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import Case, interleave, spread
from kasmina.callbacks.base import growing
from kasmina.callbacks.governor import Governor
from kasmina.hydra_api import compose
from kasmina.snapshot import Snapshot, finite

mpl.use("Agg")
from matplotlib import pyplot as plt  # after the backend is chosen

HERE = Path(__file__).parent
LOOK, COPY = 10, 50  # steps from look to look and from copy to copy: the governor's defaults

VECTORS = ("data=synthetic_vectors", "host=mlp", "slots=layers", "blueprint=[mlp]")
TOKENS = ("data=synthetic_tokens", "host=gpt", "slots=blocks", "blueprint=[lora]")
NETWORKS = {
    "convnet on digits": ("experiment=digits_grow",),
    "gpt, 16 sequences": (*TOKENS, "task=language_modelling", "data.batch_size=16"),
    "mlp, 32 vectors": (*VECTORS, "host.widths=[1024,1024]", "data.batch_size=32"),
}
"""The last one has few samples for many parameters, the worst case for a copy of them all."""

BARE = (
    "threads=1",
    "controller=none",
    "callbacks.progress=null",
    "callbacks.best=null",
    "callbacks.last=null",
    "trainer.max_steps=3",
    "+trainer.enable_progress_bar=false",
    "+trainer.enable_checkpointing=false",
    "trainer.limit_val_batches=0",
)


class Measure(Callback):
    """Times the parts within a live run, after its second step; none is of Lightning."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.seconds: dict[str, list[float]] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx != 1:
            return
        module, optimizer = growing(pl_module), trainer.optimizers[0]
        governor = Governor(look_every=LOOK, snapshot_every=1_000_000)
        kept = Snapshot.take(trainer, module)

        def step() -> None:
            optimizer.zero_grad()
            module.training_step(batch, batch_idx).backward()
            optimizer.step()

        def look() -> None:
            for _ in range(LOOK):
                governor.on_train_batch_end(trainer, module, outputs, batch, batch_idx)

        def copy() -> None:
            finite(module)
            Snapshot.take(trainer, module)

        def back() -> None:
            kept.restore(trainer, module)

        cases: dict[str, Case] = {"step": step, "look": look, "copy": copy, "back": back}
        self.seconds = interleave(cases, rounds=self.rounds)


def measured(name: str, options: argparse.Namespace, folder: Path) -> Row:
    """The parts of one network, and what they come to a step."""
    there = f"trainer.accelerator={'gpu' if options.device.startswith('cuda') else 'cpu'}"
    config = compose([*NETWORKS[name], *BARE, there])
    config.paths.run_dir = str(folder)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    run, measure = assemble(plain), Measure(options.rounds)
    run.trainer.callbacks.append(measure)  # type: ignore[attr-defined]
    run.trainer.fit(run.module, run.data)
    parts = measure.seconds
    row: dict[str, object] = {
        "network": name,
        "parameters": sum(p.numel() for p in run.module.parameters()),
    }
    row |= {f"{part}_ms": spread(times).median * 1e3 for part, times in parts.items()}
    every = list(zip(parts["step"], parts["look"], parts["copy"], strict=True))
    for part, shares in {
        "looks": [100 * look / LOOK / step for step, look, _ in every],
        "copies": [100 * copy / COPY / step for step, _, copy in every],
    }.items():
        share = spread(shares)
        row |= {f"{part}_%": share.median}
        row |= {f"{part}_%_low": share.low, f"{part}_%_high": share.high}
    return row


def draw(rows: list[Row], path: Path) -> None:
    """The share of a step that looks and copies take, with quartiles."""
    figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
    for at, part in enumerate(("looks", "copies")):
        share = [float(str(row[f"{part}_%"])) for row in rows]
        low = [float(str(row[f"{part}_%_low"])) for row in rows]
        high = [float(str(row[f"{part}_%_high"])) for row in rows]
        errors = [[s - x for s, x in zip(share, low, strict=True)]]
        errors += [[x - s for s, x in zip(share, high, strict=True)]]
        y = [index + 0.36 * at - 0.18 for index in range(len(rows))]
        label = f"{part}, every {(LOOK, COPY)[at]} steps"
        axes.barh(y, share, height=0.34, xerr=errors, label=label, capsize=3)
    labels = [f"{row['network']}\n{row['parameters']:,} parameters" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("% of the forward, backward and optimizer step (median, quartiles)")
    axes.set_title("What the governor adds to a step")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(argv: list[str] | None = None) -> None:
    """Measure, print the table, write ``results.csv`` and the picture."""
    parser = study_parser(__doc__, HERE, rounds=31)
    options = parser.parse_args(argv)
    about = machine() | {"threads": 1}
    print(about)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in list(NETWORKS)[: 1 if options.quick else None]:
            print(f"{name}: {options.rounds} rounds", flush=True)
            rows.append(measured(name, options, Path(folder)))
    end = suffix(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(options.out / f"results{end}.csv", rows)
    draw(rows, options.out / f"cost{end}.png")
    print(markdown(rows))


if __name__ == "__main__":
    main()
