"""The run's record on disk: metrics, the slots' timeline, every decision, the bill."""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.callbacks.base import GrowthCallback, of_type
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.ticker import Ticker
from kasmina.lit import GrowingModule
from kasmina.slot import SeedSlot
from kasmina.surgery import Change

METRICS, TIMELINE, EVENTS, LEDGER = "metrics.csv", "timeline.csv", "events.jsonl", "ledger.json"


class RunRecord(GrowthCallback):
    """Writes ``metrics.csv``, ``timeline.csv``, ``events.jsonl`` and ``ledger.json``.

    Rows are appended as they come, so a run that is killed leaves what it had. A resumed run
    first drops the rows that its checkpoint does not know. Rank 0 alone writes.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.best: dict[str, Any] | None = None
        self.last: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what happened after the checkpoint that this run goes on from."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            ticker = next(of_type(trainer, Ticker))
            self._forget_after(ticker.tick, due=ticker.due)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """One line a decision."""
        if trainer.is_global_zero:
            place = {"tick": tick, "epoch": trainer.current_epoch, "step": trainer.global_step}
            self.add_event({**place, **change.row()})

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Append a line to ``events.jsonl``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / EVENTS).open("a") as file:
            file.write(json.dumps(event) + "\n")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A row of metrics and a row a slot, for the network that was just validated."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, GrowingModule)
        tick = next(of_type(trainer, Ticker)).tick
        place = {"tick": tick, "epoch": trainer.current_epoch, "step": trainer.global_step}
        self._note(trainer, pl_module, place)
        if not trainer.is_global_zero:
            return
        _append(self.folder / METRICS, [{**place, **self._metrics(trainer, pl_module)}])
        seen = trainer.callback_metrics.get("train/seed_loss")
        rows = [{**place, **_slot_row(pl_module, slot, seen)} for slot in pl_module.model]
        _append(self.folder / TIMELINE, rows)
        self._write_ledger(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The bill at the end."""
        if trainer.is_global_zero:
            self._write_ledger(trainer)

    def _note(self, trainer: Trainer, module: GrowingModule, place: dict[str, int]) -> None:
        metrics = trainer.callback_metrics
        self.last = {k: float(v) for k, v in metrics.items() if k.startswith("val/")}
        value, sign = self.last[f"val/{module.task.monitor}"], module.task.sign
        if self.best is None or sign * value > sign * self.best["value"]:
            self.best = {"value": value, **place}

    def state_dict(self) -> dict[str, Any]:
        """The best validation so far."""
        return {"best": self.best, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.best, self.last = state_dict["best"], state_dict["last"]

    def _metrics(self, trainer: Trainer, module: GrowingModule) -> dict[str, Any]:
        ledger = next(of_type(trainer, Ledger))
        names = [
            "train/loss",
            *(f"val/{name}" for name in module.metrics["val"].keys(keep_base=True)),
        ]
        values = {name: _plain(trainer.callback_metrics.get(name)) for name in names}
        return {
            "wall_s": round(ledger.elapsed, 3),
            "train_flops": ledger.total,
            "incubation_flops": ledger.flops["incubation"],
            "evaluation_flops": ledger.flops["evaluation"],
            "parameters": sum(p.numel() for p in module.model.parameters()),
            **values,
        }

    def _write_ledger(self, trainer: Trainer) -> None:
        bill = next(of_type(trainer, Ledger)).report()
        (self.folder / LEDGER).write_text(json.dumps(bill, indent=2) + "\n")

    def _forget_after(self, tick: int, *, due: bool) -> None:
        for name in (METRICS, TIMELINE):
            path = self.folder / name
            if path.is_file():
                with path.open() as file:
                    rows = [row for row in csv.DictReader(file) if int(row["tick"]) <= tick]
                path.unlink()
                _append(path, rows)
        path = self.folder / EVENTS
        if path.is_file():
            past = tick - due  # the changes of a tick that is still due will be made again
            lines = [
                line for line in path.read_text().splitlines() if json.loads(line)["tick"] <= past
            ]
            path.write_text("".join(line + "\n" for line in lines))


def _slot_row(module: GrowingModule, slot: SeedSlot, seed_loss: Any) -> dict[str, Any]:
    seed, name = slot.seed, slot.site.name
    return {
        "site": name,
        "stage": str(slot.stage),
        "alpha": slot.exact_alpha,
        "blueprint": "" if seed is None else seed.blueprint.name,
        "parameters": 0 if seed is None else seed.num_parameters,
        "contribution": module.contributions.get(name, ""),
        "seed_loss": _plain(seed_loss) if slot.stage == "training" else "",
    }


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        for row in rows:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
                new = False
            writer.writerow(row)


def _plain(value: Any) -> float | str:
    return (
        "" if value is None else float(value) if math.isfinite(float(value)) else str(float(value))
    )
