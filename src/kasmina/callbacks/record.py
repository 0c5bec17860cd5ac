"""The run's record on disk: metrics, the slots' timeline, every decision, the bill."""

import csv
import json
import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer

from kasmina.atomic import write_text
from kasmina.callbacks.base import GrowthCallback, growing, the
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.ticker import Ticker
from kasmina.lit import GrowingModule
from kasmina.slot import SeedSlot
from kasmina.surgery import Change
from kasmina.tasks import Task

log = logging.getLogger(__name__)

METRICS, TIMELINE, EVENTS, LEDGER = "metrics.csv", "timeline.csv", "events.jsonl", "ledger.json"

_PLACE = ("tick", "epoch", "step")
_COST = ("wall_s", "train_flops", "incubation_flops", "evaluation_flops", "parameters")
_SLOT = ("site", "stage", "alpha", "blueprint", "parameters", "contribution", "seed_loss")


class RunRecord(GrowthCallback):
    """Writes ``metrics.csv``, ``timeline.csv``, ``events.jsonl`` and ``ledger.json``.

    Rows are appended as they come, so a run that is killed leaves what it had. A resumed run
    first drops the rows that its checkpoint does not know, and says which are damaged. Rank 0 alone
    writes. All files are there from the start, empty but for their heads.

    Args:
        folder: the run's folder.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self.best: dict[str, Any] | None = None
        self.last: dict[str, float] = {}
        self.validations: int | None = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what happened after the checkpoint that this run goes on from."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            ticker, step = the(trainer, Ticker), trainer.global_step
            past = ticker.tick - ticker.due  # what a tick that is due changes will be done again
            _keep_events(self.folder / EVENTS, past, step)
            module, most = growing(pl_module), self.validations
            columns = [*_PLACE, *_COST, *_metric_names(module)]
            self.validations = _keep_rows(self.folder / METRICS, columns, step, most)
            slots = len(list(module.model))
            _keep_rows(self.folder / TIMELINE, [*_PLACE, *_SLOT], step, most and most * slots)

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """One line a decision."""
        if trainer.is_global_zero:
            place = {"tick": tick, "epoch": trainer.current_epoch, "step": trainer.global_step}
            self.add_event({**place, **change.row()})

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Append a line to ``events.jsonl``."""
        with (self.folder / EVENTS).open("a") as file:
            file.write(json.dumps(event) + "\n")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A row of metrics and a row a slot, for the network that was just validated."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.validations is not None:
            self.validations += 1
        module = growing(pl_module)
        tick = the(trainer, Ticker).tick
        place = {"tick": tick, "epoch": trainer.current_epoch, "step": trainer.global_step}
        self.note(trainer.callback_metrics, module.task, place)
        if not trainer.is_global_zero:
            return
        _append(self.folder / METRICS, [{**place, **self._metrics(trainer, module)}])
        rows = [{**place, **_slot_row(module, slot)} for slot in module.model]
        _append(self.folder / TIMELINE, rows)
        self._write_ledger(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The bill at the end."""
        if trainer.is_global_zero:
            self._write_ledger(trainer)

    def note(self, metrics: Mapping[str, Any], task: Task, place: dict[str, int]) -> None:
        """Keep the last metrics, and the best of the monitored one: the first of equals."""
        self.last = {k: float(v) for k, v in metrics.items() if k.startswith("val/")}
        value = self.last[f"val/{task.monitor}"]
        known = -math.inf if self.best is None else task.sign * self.best["value"]
        if task.sign * value > known:  # nan never is
            self.best = {"value": value, **place}

    def state_dict(self) -> dict[str, Any]:
        """The best validation so far."""
        return {"best": self.best, "last": self.last, "validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.best, self.last = state_dict["best"], state_dict["last"]
        self.validations = state_dict.get("validations")  # format 1 does not say

    def _metrics(self, trainer: Trainer, module: GrowingModule) -> dict[str, Any]:
        ledger, seen = the(trainer, Ledger), trainer.callback_metrics
        values = {name: _plain(seen.get(name)) for name in _metric_names(module)}
        return {
            "wall_s": round(ledger.elapsed, 3),
            "train_flops": ledger.total,
            "incubation_flops": ledger.flops["incubation"],
            "evaluation_flops": ledger.flops["evaluation"],
            "parameters": sum(p.numel() for p in module.model.parameters()),
            **values,
        }

    def _write_ledger(self, trainer: Trainer) -> None:
        bill = the(trainer, Ledger).report()
        write_text(self.folder / LEDGER, json.dumps(bill, indent=2) + "\n")


def _keep_events(path: Path, tick: int, step: int) -> None:
    """Only the events up to ``tick``, and up to ``step`` of those between two ticks."""
    kept = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            event = json.loads(line)
            past = event["tick"] <= tick and event["step"] <= step
        except (ValueError, KeyError, TypeError):
            _pass_over(path, number)
        else:
            kept += [line] if past else []
    write_text(path, "".join(line + "\n" for line in kept))


def _keep_rows(path: Path, columns: list[str], step: int, most: int | None) -> int:
    """A head of ``columns``, and only the rows up to ``step``, the first ``most``; how many."""
    kept = []
    place = columns.index("step")
    for number, line in enumerate(_lines(path)[1:], start=2):
        try:
            (cells,) = csv.reader([line])
            past = len(cells) == len(columns) and int(cells[place]) <= step
        except (ValueError, IndexError, csv.Error):
            past, cells = False, []
        if len(cells) != len(columns):
            _pass_over(path, number)
        kept += [line] if past else []
    kept = kept[:most]
    write_text(path, "".join(line + "\r\n" for line in [",".join(columns), *kept]))
    return len(kept)


def _lines(path: Path) -> list[str]:
    """The whole lines; a run that was killed may have left half of one."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    return text.split("\n")[:-1]


def _pass_over(path: Path, line: int) -> None:
    log.warning("%s line %d is damaged and left out", path, line)


def _metric_names(module: GrowingModule) -> list[str]:
    names = [name for name in module.metrics["val"].keys(keep_base=True) if name != "loss"]
    return ["train/loss", "val/loss", *(f"val/{name}" for name in names)]


def _slot_row(module: GrowingModule, slot: SeedSlot) -> dict[str, Any]:
    seed, name = slot.seed, slot.site.name
    return {
        "site": name,
        "stage": str(slot.stage),
        "alpha": slot.exact_alpha,
        "blueprint": "" if seed is None else seed.blueprint.name,
        "parameters": 0 if seed is None else seed.num_parameters,
        "contribution": _plain(module.contributions.get(name)),
        "seed_loss": _plain(module.seed_losses.get(name)),
    }


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("a", newline="") as file:
        for row in rows:
            csv.DictWriter(file, list(row)).writerow(row)


def _plain(value: Any) -> float | str:
    if value is None:
        return ""
    return float(value) if math.isfinite(float(value)) else str(float(value))
