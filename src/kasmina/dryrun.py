"""Build a config's host without its weights, to see its sites and what passes there.

On the meta device, which holds shapes and no memory; a host that needs values to be built or to
run is built for real.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from kasmina.graft import Grafted, graft, match_sites, ungraft
from kasmina.recipe import build
from kasmina.site import Site
from kasmina.suggest import nearest

T = TypeVar("T")


def bare_host(config: Mapping[str, Any]) -> nn.Module:
    """The host of a config.

    Raises:
        ValueError: the host refuses its options.
    """
    made: nn.Module = _meta_or_real(lambda: build(config["host"]))
    return made


def bare_grafted(config: Mapping[str, Any]) -> Grafted | None:
    """The host with its slots; None where the data does not declare its shape.

    Raises:
        ValueError: no such site, or one that no slot can transform.
        RuntimeError: the host cannot read the data.
    """

    def make() -> Grafted | None:
        inputs = example(config["data"])
        if inputs is None:
            return None
        listens = _listens(config["incubation"])
        return graft(build(config["host"]), config["slots"]["sites"], inputs, listens=listens)

    return _meta_or_real(make)


def _listens(incubation: Mapping[str, Any]) -> bool:
    try:
        return bool(build(incubation).listens)
    except ValueError:  # of its own options; nothing about sites hangs on it
        return False


def absent_sites(host: nn.Module, patterns: Sequence[str]) -> Iterator[str]:
    """A sentence for each pattern that names no submodule of the host."""
    for pattern in patterns:
        try:
            match_sites(host, [pattern])
        except ValueError:
            near = nearest(pattern, [name for name, _ in host.named_modules() if name])
            meant = f"did you mean {near!r}? " if near else ""
            possible = ", ".join(_top_sites(host))
            yield f"slots.sites: this host has no {pattern!r}; {meant}possible: {possible}, ..."


def _top_sites(host: nn.Module) -> list[str]:
    return [
        f"{name}.*" if isinstance(child, nn.ModuleList | nn.Sequential) else name
        for name, child in host.named_children()
    ]


def open_sites(config: Mapping[str, Any]) -> Iterator[tuple[Site, nn.Module]]:
    """Each submodule of the host that can have a slot.

    Raises:
        ValueError: the host refuses its options.
        FileNotFoundError: the data does not declare its shape, and its files are not there.
    """
    inputs = example(config["data"])
    if inputs is None:
        inputs = build(config["data"]).example()[0]
    host: nn.Module = build(config["host"])
    for name, module in host.named_modules():
        try:
            grafted = graft(host, [name], inputs) if name else None
        except ValueError:  # called twice or never, or no features that a slot takes
            continue
        if grafted is not None:
            (slot,) = grafted
            ungraft(grafted)
            yield slot.site, module


def example(data: Mapping[str, Any]) -> Tensor | None:
    """Two samples of zeros in the shape that the data declares."""
    if "vocab_size" in data and "context" in data:
        return torch.zeros(2, data["context"], dtype=torch.long)
    if "in_channels" in data and "image_size" in data:
        size = data["image_size"]
        height, width = size if isinstance(size, list) else (size, size)
        return torch.zeros(2, data["in_channels"], height, width)
    return torch.zeros(2, data["in_features"]) if "in_features" in data else None


def _meta_or_real(make: Callable[[], T]) -> T:
    try:
        with torch.device("meta"):
            return make()
    except (RuntimeError, TypeError):
        with torch.random.fork_rng(devices=[]):
            return make()
