"""Compile the host in place, so that checkpoints keep their keys."""

import inspect
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from kasmina.graft import Grafted

_LIMIT = 64  # graphs a code object may have: slots times stages, passes and modes


@dataclass(frozen=True)
class Compile:
    """How the network is compiled.

    Args:
        mode: ``off``, or a mode of torch.compile.
        scope: ``whole`` makes the host with its slots one region, ``blocks`` each site of its own.
        fullgraph: a graph break is an error.
        dynamic: let shapes vary; None leaves it to torch.
        backend: of torch.compile.
    """

    mode: Literal[
        "off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"
    ] = "off"
    scope: Literal["whole", "blocks"] = "whole"
    fullgraph: bool = False
    dynamic: bool | None = None
    backend: str = "inductor"


def compile_in_place(model: Grafted, options: Compile) -> None:
    """Compile the regions that ``options`` names.

    Raises:
        ValueError: a site whose class belongs to torch, which ``Module.compile`` passes over in
            silence; the whole host can be compiled instead.
    """
    if options.mode == "off":
        return
    for region in _regions(model, options.scope):
        region.compile(**_arguments(options))


def _regions(model: Grafted, scope: str) -> list[nn.Module]:
    if scope == "whole":
        return [model.host]
    regions = [(slot.site.name, model.host.get_submodule(slot.site.name)) for slot in model]
    for name, region in regions:
        if type(region).__module__.startswith("torch.nn."):
            raise ValueError(
                f"site {name!r} is a {type(region).__name__} of torch, whose compile() does "
                "nothing; choose compile.scope=whole"
            )
    return [region for _, region in regions]


def _arguments(options: Compile) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "fullgraph": options.fullgraph,
        "dynamic": options.dynamic,
        "backend": options.backend,
    }
    if options.backend == "inductor":
        arguments["mode"] = options.mode
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        arguments["recompile_limit"] = _LIMIT
    else:  # before torch 2.10 the limit is global
        torch._dynamo.config.recompile_limit = _LIMIT
    return arguments
