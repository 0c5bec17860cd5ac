"""Weights & Biases that never asks: offline where no key is found."""

import logging
import netrc
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from kasmina.suggest import unknown

log = logging.getLogger(__name__)

FLOPS = "train_flops"
"""The metric that ends a validation's row."""

_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")  # W&B's own, of now and of before wandb 0.31
_KEY_LENGTH = 40  # characters, at least; W&B refuses a shorter one
_MULTIRUN = ("command.json", "multirun.yaml")  # of our launcher, of Hydra's sweeper
_WITHOUT_KEY = {"offline", "dryrun", "disabled"}
_LOG_MODEL = (False, True, "all")


def wandb(
    *,
    save_dir: str,
    offline: bool | None = None,
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    **options: Any,
) -> "RunLogger":
    """A W&B logger; a run folder has one W&B run, however often it is resumed.

    Args:
        save_dir: where the run's files lie; it is made if it is missing.
        offline: write files only, ``wandb sync`` uploads them later; None: when there is no key.
        name: of the run; the job of a multirun adds its own; under a sweep's agent W&B names it.
        group: of runs; None: the jobs of a multirun are one.
        job_type: a word for what runs of a group have in common.
        options: of ``RunLogger``.

    Raises:
        ValueError: ``offline`` is false, and there is no key.
    """
    folder = Path(save_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if mode := _mode(offline):
        options = {"mode": mode, **options}
    number, multirun = run_id(folder), multirun_of(folder)
    if "WANDB_SWEEP_ID" not in os.environ:  # there the agent has said which run it is
        name = f"{name or ''} {folder.name}".strip() if multirun else name
        options = {"id": number, "name": name, **options}
    options = {"group": group or multirun, "job_type": job_type, **options}
    return RunLogger(save_dir=save_dir, **options)


def _mode(offline: bool | None) -> str | None:
    """What W&B has to be told; None leaves it to WANDB_MODE."""
    if offline:
        return "offline"
    if has_key():
        return None
    if offline is False:
        raise ValueError(
            "logger.wandb.offline is false, but there is no key: `wandb login` or WANDB_API_KEY; "
            "null writes files, which `wandb sync` uploads later"
        )
    said = os.environ.get("WANDB_MODE", "")
    if said == "online":
        log.warning("WANDB_MODE=online, but there is no key: the run is written to files only")
    return None if said in _WITHOUT_KEY else "offline"


def run_id(folder: Path) -> str:
    """The W&B run of a run folder: a resumed run, and every rank, writes into the same one.

    A sweep's agent names the run itself, by WANDB_RUN_ID.
    """
    path = folder / "wandb.id"
    try:
        with path.open("x") as file:
            file.write(os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8])
    except FileExistsError:
        pass
    return path.read_text()


def multirun_of(folder: Path) -> str | None:
    """``<name>/<time>`` of the multirun in whose folder a run lies, if it does."""
    around = folder.resolve().parent
    if not any((around / name).is_file() for name in _MULTIRUN):
        return None
    return f"{around.parent.name}/{around.name}"


def has_key() -> bool:
    """Whether W&B would find a key: in its environment variable, or in the user's netrc file."""
    if os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    return len(os.environ.get("WANDB_API_KEY") or _key_of_netrc()) >= _KEY_LENGTH


def _key_of_netrc() -> str:
    said = os.environ.get("WANDB_BASE_URL")
    hosts = [urlparse(said).netloc] if said else _HOSTS
    at_home = [path for name in (".netrc", "_netrc") if (path := Path.home() / name).is_file()]
    path = Path(os.environ.get("NETRC") or next(iter(at_home), ""))
    try:
        known = netrc.netrc(path).hosts
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return ""
    return next((key for host in hosts if host in known and (key := known[host][2])), "")


class RunLogger(WandbLogger):
    """Lightning's, but a validation is one row, and checkpoints are artifacts offline too.

    One row, because W&B draws a metric against another only where one row has both.

    Args:
        log_model: checkpoints as versions of the artifact ``model-<id>`` with the aliases ``best``
            and ``last``. True: those at the end of a run; "all": each that is saved; False: none.
        options: of ``lightning.pytorch.loggers.WandbLogger``.

    Raises:
        ValueError: another ``log_model``.
    """

    def __init__(self, *, log_model: bool | str = False, **options: Any) -> None:
        if log_model not in _LOG_MODEL:
            raise ValueError(unknown("log_model", str(log_model), ["false", "true", "all"]))
        super().__init__(**options)
        self.log_model = log_model
        self._held: tuple[dict[str, Any], int | None] | None = None
        self.checkpoints: dict[str, ModelCheckpoint] = {}
        """The callbacks whose files are sent at the end, by their keys."""
        self._sent: dict[Path, int] = {}  # time of the version that was sent, ns

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Called by Lightning with a validation's metrics, then with the slots' and the bill."""
        row = dict(metrics)
        if self._held is not None and FLOPS in row:
            row = {**self._held[0], **row}  # Lightning counts the step that it is in, we those done
            self._held = None
        self._release()
        if FLOPS not in row and any(name.startswith("val/") for name in row):
            self._held = row, step
        else:
            super().log_metrics(row, step)

    def _release(self) -> None:
        if self._held is not None:
            super().log_metrics(*self._held)
            self._held = None

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Called by Lightning, on rank 0."""
        self.checkpoints.setdefault(checkpoint_callback.state_key, checkpoint_callback)
        if self.log_model == "all":
            self._send(checkpoint_callback)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Called by Lightning after training and after testing."""
        self._release()
        if status == "success" and self.log_model:
            for callback in self.checkpoints.values():
                self._send(callback)

    def _send(self, callback: ModelCheckpoint) -> None:
        """The checkpoints that are new since the last time."""
        from wandb import Artifact

        for path in _files(callback):
            written = path.stat().st_mtime_ns
            if self._sent.get(path) == written:
                continue
            best = bool(callback.monitor) and str(path) == callback.best_model_path
            score = callback.best_k_models.get(str(path)) if callback.monitor else None
            about = {
                "file": path.name,
                "monitor": callback.monitor,
                "score": None if score is None else float(score),
            }
            artifact = Artifact(f"model-{self.experiment.id}", type="model", metadata=about)
            artifact.add_file(str(path), name="model.ckpt")
            self.experiment.log_artifact(artifact, aliases=["best"] if best else [path.stem])
            self._sent[path] = written


def _files(callback: ModelCheckpoint) -> Iterator[Path]:
    names = {callback.best_model_path, callback.last_model_path, *callback.best_k_models}
    return filter(Path.is_file, map(Path, sorted(filter(None, names))))
