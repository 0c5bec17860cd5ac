"""Rules about what this machine and this torch can run."""

import importlib.util
import logging
import os
import shutil
import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from kasmina import attention
from kasmina.recipe import TARGET, build
from kasmina.suggest import unknown

_COMPILERS = ("c++", "g++", "clang++", "cl")
_DTYPES = {"16": torch.float16, "bf16": torch.bfloat16}
_PACKAGES = {"TensorBoardLogger": "tensorboard"}


def attention_backend(values: Mapping[str, Any]) -> Iterator[str]:
    """An attention backend that cannot train here, where something chosen has attention."""
    if _no_gpu(values["trainer"]):
        return  # the trainer's rule says so, once
    precision = str(values["trainer"].get("precision")).partition("-")[0]
    for part in (values["host"], *values["blueprint"].values()):
        if "backend" not in part:
            continue
        try:
            attention.require(
                part["backend"],
                device_of(values["trainer"]),
                training=True,
                dtype=_DTYPES.get(precision, torch.float32),
                dropout_p=float(part.get("dropout") or 0.0),
            )
        except ValueError as error:
            yield f"attention.backend: {error}"
            return


def threads(values: Mapping[str, Any]) -> Iterator[str]:
    """Fewer than one thread."""
    if values["threads"] is not None and values["threads"] < 1:
        yield f"threads: at least 1, or null for torch's own choice; {values['threads']} came"


def validation(values: Mapping[str, Any]) -> Iterator[str]:
    """A controller that decides on measures, in a run that takes none."""
    grows = not values["controller"][TARGET].endswith(".NoGrowth")
    limit = values["trainer"].get("limit_val_batches")
    if grows and limit is not None and float(limit) == 0.0:
        yield "trainer.limit_val_batches: 0 leaves the controller blind; choose controller=none"


def device_of(trainer: Mapping[str, Any]) -> str:
    """The type of device on which a trainer's options put the network."""
    accelerator = str(trainer.get("accelerator", "auto"))
    if accelerator in {"gpu", "cuda"} or (accelerator == "auto" and torch.cuda.is_available()):
        return "cuda"
    return "mps" if accelerator == "mps" else "cpu"


def _no_gpu(trainer: Mapping[str, Any]) -> bool:
    """Whether one is asked for, and there is none."""
    return device_of(trainer) == "cuda" and not torch.cuda.is_available()


def trainer_options(values: Mapping[str, Any]) -> Iterator[str]:
    """A device, precision or strategy that this machine or Lightning refuses."""
    options = values["trainer"]
    precision, device = str(options.get("precision")), device_of(options)
    if _no_gpu(options):
        came = options["accelerator"]
        yield f"trainer.accelerator: {came!r} came, and there is no GPU here; possible: cpu, auto"
    elif device == "cpu" and precision in {"16", "16-mixed", "16-true"}:
        # Lightning takes bfloat16 instead and says so in a warning
        yield (
            f"trainer.precision: {precision!r} came, but half precision does not train on a CPU; "
            "possible: 32-true, 64-true, bf16-mixed, bf16-true"
        )
    else:
        yield from _refusals(options)


def _refusals(options: Mapping[str, Any]) -> Iterator[str]:
    with _quiet():
        try:
            build(options, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
            yield f"trainer: {' '.join(str(error).split())}"


@contextmanager
def _quiet() -> Iterator[None]:
    """The run itself says what Lightning has to say."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def compiler(values: Mapping[str, Any]) -> Iterator[str]:
    """A compile backend that torch does not have, or no C++ compiler for the one on the CPU."""
    options = values["compile"]
    if options["mode"] == "off":
        return
    possible = torch.compiler.list_backends(exclude_tags=())
    if options["backend"] not in possible:
        yield f"compile.backend: {unknown('backend', options['backend'], possible)}"
    elif options["backend"] == "inductor" and not _no_gpu(values["trainer"]):
        lacks = _toolchain(device_of(values["trainer"]))
        if lacks:
            yield f"compile.backend: inductor needs {lacks}, or choose compile=off"


def _toolchain(device: str) -> str | None:
    """What inductor lacks on this machine, and how to come by it."""
    chosen = os.environ.get("CXX")
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton on a GPU: pip install triton"
    if chosen and shutil.which(chosen.split()[0]) is None:
        return f"a C++ compiler, and CXX={chosen} is none: unset it or set it to one"
    if not chosen and not any(map(shutil.which, _COMPILERS)):
        return "a C++ compiler: install g++ or clang++ (Debian, Ubuntu: apt install g++)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "the headers of Python: install them (Debian, Ubuntu: apt install python3-dev)"
    return None


def loggers(values: Mapping[str, Any]) -> Iterator[str]:
    """A logger whose package is not installed."""
    for name, config in values["logger"].items():
        package = _PACKAGES.get(config[TARGET].rpartition(".")[2]) if config else None
        if package and importlib.util.find_spec(package) is None:
            yield f"logger.{name}: needs a package that is not here: pip install {package}"
