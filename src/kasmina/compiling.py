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
        ValueError: a region whose forward is torch's own, which ``Module.compile`` passes over in
            silence; or one graph is asked for where straight-through incubation breaks it.
    """
    if options.mode == "off":
        return
    if options.fullgraph and any(slot.listens for slot in model):
        raise ValueError(
            "straight-through incubation breaks the graph, since it keeps the random state of the "
            "host as it was; choose compile.fullgraph=false or incubation=shadow"
        )
    for region in _regions(model, options.scope):
        region.compile(**_arguments(options))


def _regions(model: Grafted, scope: str) -> list[nn.Module]:
    if scope == "whole":
        regions, instead = {"the host": model.host}, "give it a class with a forward of its own"
    else:
        regions = {
            f"site {slot.site.name!r}": model.host.get_submodule(slot.site.name) for slot in model
        }
        instead = "choose compile.scope=whole"
    for name, region in regions.items():
        if type(region).forward.__module__.startswith("torch.nn."):
            raise ValueError(
                f"{name} is a {type(region).__name__}, whose forward is torch's own and whose "
                f"compile() does nothing; {instead}"
            )
    return list(regions.values())


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
