"""Compile a network in place, region by region, so that growth recompiles little.

A region's forward is replaced on the instance: checkpoints keep their keys, and the slot behind a
site, a forward hook, stays plain Python. Copies and pickles are eager, as after ``Module.compile``.

Dynamo keeps its graphs by code object, which all instances of a class share: one limit for all.
So each structure (class, layers, shapes) gets a code object of its own. Equal structures share its
graphs, and no structure uses up the limit of another.
"""

import functools
import inspect
import itertools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from kasmina.graft import Grafted

_ENOUGH = 64  # graphs of a block or a seed: modes, passes and sizes, never stages
_CUDA_GRAPHS = ("reduce-overhead", "max-autotune")
_ENDLESS = 1 << 16  # graphs of a whole host: one for each set of stages and blueprints


@dataclass(frozen=True)
class Compile:
    """How the network is compiled.

    Args:
        mode: ``off``, or a mode of torch.compile.
        scope: ``blocks`` makes a region of each host block and of each seed; ``whole`` makes one
            of the host with its slots, which has more to fuse and is compiled at every change.
        fullgraph: a graph break is an error.
        dynamic: let shapes vary; None leaves it to torch.
        backend: of torch.compile.
    """

    mode: Literal[
        "off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"
    ] = "off"
    scope: Literal["whole", "blocks"] = "blocks"
    fullgraph: bool = False
    dynamic: bool | None = None
    backend: str = "inductor"


class RecompileLimit(RuntimeError):
    """Torch has stopped compiling a region, and would run it eagerly from here on."""


def compile_in_place(model: Grafted, options: Compile) -> None:
    """Compile the regions that ``options`` names, and the seeds that are here or come later.

    Raises:
        ValueError: one graph is asked for where straight-through incubation breaks it.
    """
    if options.mode == "off":
        return
    if options.mode in _CUDA_GRAPHS and torch.cuda.is_available():
        # a shadow pass and the looks of a validation keep what the main pass left in the graphs
        model.begin_step = torch.compiler.cudagraph_mark_step_begin
    if options.scope == "whole":
        if options.fullgraph and any(slot.listens for slot in model):
            raise ValueError(
                "straight-through incubation breaks the graph of a whole network, since it keeps "
                "the host's random state; choose compile.scope=blocks or incubation=shadow"
            )
        compile_module(model.host, options)
        return
    model.compile_seed = functools.partial(compile_module, options=options)
    seeds = [slot.seed.body for slot in model if slot.seed is not None]
    for region in (*blocks(model), *seeds):
        compile_module(region, options)


def blocks(model: Grafted) -> list[nn.Module]:
    """The host's blocks: its sites, and what stands beside a site and is of the same class.

    A module around another site is left out: a change of that site would recompile it.
    """
    sites = [slot.site.name for slot in model]
    names = dict.fromkeys(name for site in sites for name in _beside(model.host, site))
    around = {".".join(parts) for site in sites for parts in _above(site.split("."))}
    return [model.host.get_submodule(name) for name in names if name not in around]


def _beside(host: nn.Module, site: str) -> list[str]:
    above, _, _ = site.rpartition(".")
    kind = type(host.get_submodule(site))
    children = host.get_submodule(above).named_children()
    return [f"{above}.{name}".lstrip(".") for name, child in children if type(child) is kind]


def _above(parts: list[str]) -> list[list[str]]:
    return [parts[:depth] for depth in range(1, len(parts))]


def compile_module(module: nn.Module, options: Compile) -> None:
    """Compile one module's forward; hooks on the module itself stay eager."""
    if "forward" in vars(module) and not isinstance(module.forward, _Forward):
        raise ValueError(
            f"a {type(module).__name__} has a forward of its own instance, which cannot be "
            "compiled in place; choose compile=off"
        )
    module.forward = _Forward(module, options)


class _Forward:
    """The compiled forward of one module, in place of the module's own."""

    def __init__(self, module: nn.Module, options: Compile) -> None:
        functools.update_wrapper(self, type(module).forward)
        self.module = module
        self.run = _runner(structure(module), options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(self.module, *args, **kwargs)
        except torch._dynamo.exc.FailOnRecompileLimitHit as error:
            name = type(self.module).__name__
            raise RecompileLimit(
                f"torch has reached its limit of graphs for {name} and would go on eagerly; "
                "choose compile.scope=blocks or compile=off and resume the run"
            ) from error

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[nn.Module]]:
        return _eager, (self.module,)


def _eager(module: nn.Module) -> Callable[..., Any]:
    return types.MethodType(type(module).forward, module)


Structure = tuple[type[nn.Module], str, tuple[tuple[str, torch.Size], ...]]


def structure(module: nn.Module) -> Structure:
    """What two modules share that run the same graphs: class, layers with options, and shapes."""
    shapes = tuple((name, parameter.shape) for name, parameter in module.named_parameters())
    return type(module), repr(module), shapes


_numbers = itertools.count()


@functools.cache
def _runner(shared: Structure, options: Compile) -> Callable[..., Any]:
    """One compiled function for all modules of a structure."""
    name = f"{shared[0].__name__}_{next(_numbers)}"  # dynamo also keeps sizes seen, by code name
    own = types.FunctionType(_run.__code__.replace(co_name=name), globals(), name)
    return torch.compile(own, **_arguments(options))


def _run(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return type(module).forward(module, *args, **kwargs)


def _arguments(options: Compile) -> dict[str, Any]:
    limit = _ENDLESS if options.scope == "whole" else _ENOUGH
    arguments: dict[str, Any] = {
        "fullgraph": options.fullgraph,
        "dynamic": options.dynamic,
        "backend": options.backend,
    }
    if options.backend == "inductor":
        arguments["mode"] = options.mode
    config = torch._dynamo.config
    config.fail_on_recompile_limit_hit = True  # otherwise it goes on eagerly, in silence
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, limit)
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        arguments["recompile_limit"] = limit
    else:  # before torch 2.10 the limit is global
        config.recompile_limit = max(config.recompile_limit, limit)
    return arguments
