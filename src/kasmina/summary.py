"""A run in numbers: ``summary.json``."""

import json
import math
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from kasmina.assembly import Plain, Run
from kasmina.atomic import write_text
from kasmina.callbacks.base import of_type, the
from kasmina.callbacks.governor import Governor
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.record import RunRecord
from kasmina.callbacks.trial import TrialPruning
from kasmina.stage import ALIVE, Stage

_BROKEN = {EarlyStoppingReason.DIVERGENCE_THRESHOLD, EarlyStoppingReason.NON_FINITE_METRIC}


def run_status(run: Run) -> str:
    """``finished``, ``diverged``, ``interrupted`` or ``pruned``."""
    if run.trainer.interrupted:
        return "interrupted"
    if any(governor.diverged for governor in of_type(run.trainer, Governor)):
        return "diverged"
    for stopper in of_type(run.trainer, EarlyStopping):
        if stopper.stopping_reason in _BROKEN:
            return "diverged"
    pruned = any(each.pruned for each in of_type(run.trainer, TrialPruning))
    return "pruned" if pruned else "finished"


def summarize(run: Run, config: Plain, status: str) -> dict[str, Any]:
    """Plain values; read while the module still holds the network that training ended with."""
    model, task = run.module.model, run.module.task
    record = the(run.trainer, RunRecord)
    ledger = the(run.trainer, Ledger)
    host = sum(p.numel() for p in model.host.parameters())
    grown = sum(p.numel() for slot in model for p in slot.parameters())
    return {
        "name": config["name"],
        "status": status,
        "seed": config["seed"],
        "controller": config["controller"]["_target_"].rpartition(".")[2].lower(),
        "monitor": f"val/{task.monitor}",
        "mode": task.mode,
        "best": record.best,
        "final": record.last,
        "test": None,
        "parameters": {"host": host, "grown": grown, "total": host + grown},
        "fossils": {
            slot.site.name: slot.seed.blueprint.name
            for slot in model.at(Stage.FOSSILIZED)
            if slot.seed is not None
        },
        "seeds": {
            "kept": sum(seed["fate"] == "kept" for seed in ledger.seeds),
            "pruned": sum(seed["fate"] == "pruned" for seed in ledger.seeds),
            "unfinished": len(model.at(*ALIVE)),
        },
        "epochs": run.trainer.current_epoch,
        "steps": run.trainer.global_step,
        "wall_s": round(ledger.elapsed, 3),
        "flops": ledger.total,
        "checkpoints": _checkpoints(Path(config["paths"]["run_dir"])),
    }


def _checkpoints(folder: Path) -> dict[str, str]:
    names = {name: f"checkpoints/{name}.ckpt" for name in ("best", "last")}
    return {name: path for name, path in names.items() if (folder / path).is_file()}


def write_json(path: Path, content: Any) -> None:
    """Write plain values; a number that JSON has no word for becomes null."""
    write_text(path, json.dumps(_sane(content), indent=2) + "\n")


def _sane(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sane(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sane(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
