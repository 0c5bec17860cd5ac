"""Tiny hosts and seeds, at module level so that recipes, pickle and other processes find them."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from kasmina.graft import Grafted, graft
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.site import Kind, Site
from kasmina.slot import SeedSlot
from kasmina.stage import Event, Stage

ALL: tuple[Kind, ...] = ("map", "sequence", "vector")
OPERATORS = ("Add", "Multiply", "Gate")

CLASSES = 3
IMAGE = (2, 6, 6)  # channels, height, width


class Block(nn.Module):
    """Convolution, BatchNorm, ReLU, dropout: everything that keeps a state or draws a number."""

    def __init__(self, channels: int, width: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(torch.relu(self.norm(self.conv(x))))


class Cnn(nn.Module):
    """Three blocks and a head: (N, 2, 6, 6) to (N, 3). Sites ``blocks.0`` to ``blocks.2``."""

    def __init__(self, width: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        ins = [IMAGE[0], width, width]
        self.blocks = nn.ModuleList(Block(i, width, dropout) for i in ins)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Mlp(nn.Module):
    """Three linear maps with a tanh between: (N, 5) to (N, 3). Sites ``first``, ``second``."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(5, width)
        self.second = nn.Linear(width, width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Pair(NamedTuple):
    """What a block of somebody else's may return."""

    features: Tensor
    note: str


class Wrapped(nn.Module):
    """A linear map that returns its features in a container: ``tuple``, ``list`` or ``named``."""

    def __init__(self, container: str) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)
        self.container = container

    def forward(self, x: Tensor) -> Any:
        h = self.linear(x)
        made = {"tuple": (h, "note"), "list": [h, "note"], "named": Pair(h, "note")}
        return made[self.container]


class Container(nn.Module):
    """Two ``Wrapped`` blocks: (N, 5) to (N, 5)."""

    def __init__(self, container: str) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Wrapped(container) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            features, note = block(x)
            assert note == "note"
            x = torch.tanh(features)
        return x


class Plain(nn.Module):
    """h + W h, random from birth: a seed that says something at once."""

    kinds: ClassVar[tuple[Kind, ...]] = ALL

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.map = nn.Conv2d(site.width, site.width, 1) if site.kind == "map" else None
        self.linear = None if site.kind == "map" else nn.Linear(site.width, site.width)

    def forward(self, h: Tensor) -> Tensor:
        change = self.map or self.linear
        assert change is not None
        return h + change(h)


class Broken(Plain):
    """As ``Plain``, but every feature that it puts out is ``value``: inf or nan."""

    def __init__(self, site: Site, *, value: float | str = "inf") -> None:
        super().__init__(site)
        self.value = float(value)

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h) + self.value


class Dropping(Plain):
    """As ``Plain``, with dropout: it draws random numbers."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(h, 0.5, self.training))


class Noisy(Dropping):
    """As ``Dropping``, with BatchNorm: it keeps statistics as well."""

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.norm = nn.BatchNorm2d(site.width)

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(self.norm(h))


class Useless(nn.Module):
    """h + size R h with R random and frozen, or noise of the size of h anew at every pass: a seed
    that has nothing to learn with.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ALL

    def __init__(self, site: Site, *, size: float = 0.3, fresh: bool = False) -> None:
        super().__init__()
        self.size, self.fresh = size, fresh
        self.register_buffer("map", torch.randn(site.width, site.width) / site.width**0.5)
        self.idle = nn.Parameter(torch.zeros(()))  # a seed has a param group

    def forward(self, h: Tensor) -> Tensor:
        last = h.movedim(1, -1) if h.dim() == 4 else h
        turned = torch.randn_like(last) * last.std() if self.fresh else last @ self.map
        change = turned.movedim(-1, 1) if h.dim() == 4 else turned
        return h + self.size * change + 0 * self.idle


class HalfFrozen(Plain):
    """As ``Plain``, with a bias that its author froze."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        part = self.map or self.linear
        assert part is not None
        assert part.bias is not None
        part.bias.requires_grad_(False)


class Named(Plain):
    """As ``Plain``, with an option that is called ``name``."""

    def __init__(self, site: Site, *, name: str) -> None:
        super().__init__(site)
        self.name = name


def recipe(of: type[nn.Module], **options: Any) -> Recipe:
    """The recipe of a class, named as the class in small letters."""
    return Recipe(of.__name__.lower(), f"{of.__module__}.{of.__qualname__}", options)


def operator(name: str = "Add") -> Recipe:
    """The recipe of a blend operator."""
    return Recipe("blend", f"kasmina.blend.{name}")


def fixed(*shape: int) -> Tensor:
    """The same normal numbers at every call, for what is drawn where a module is imported."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def images(count: int = 4) -> Tensor:
    """A batch for ``Cnn``."""
    return torch.randn(count, *IMAGE)


def grafted(host: nn.Module | None = None, **options: bool) -> Grafted:
    """``Cnn``, or another host with ``blocks``, with a slot at every block."""
    host = host or Cnn()
    example = images(2) if isinstance(host, Cnn) else torch.randn(2, 5)
    return graft(host, ["blocks.*"], example, **options)


_WAY = {
    Stage.GERMINATED: [],
    Stage.TRAINING: [Event.TRAIN],
    Stage.BLENDING: [Event.TRAIN, Event.BLEND],
    Stage.HOLDING: [Event.TRAIN, Event.BLEND, Event.HOLD],
    Stage.FOSSILIZED: [Event.TRAIN, Event.BLEND, Event.HOLD, Event.FOSSILIZE],
    Stage.PRUNED: [Event.PRUNE],
    Stage.EMBARGOED: [Event.PRUNE, Event.EMBARGO],
}


def grow(
    model: Grafted,
    site: str,
    stage: Stage,
    *,
    blueprint: Recipe | None = None,
    blend: str = "Add",
    alpha: float = 1.0,
) -> SeedSlot:
    """Germinate a seed, ``Plain`` unless told, and lead it to ``stage``; it blends at ``alpha``."""
    made = blueprint or recipe(Plain)
    slot = germinate(model, site, blueprint=made, operator=operator(blend), run_seed=0)
    lead(slot, stage, alpha=alpha)
    return slot


def lead(slot: SeedSlot, stage: Stage, *, alpha: float = 1.0) -> None:
    """Take a germinated slot to ``stage``."""
    for event in _WAY[stage]:
        slot.move(event, Ramp(ticks=1, target=alpha) if event is Event.BLEND else None)


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    """Copies of what hangs on every parameter."""
    return {n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}


def same(left: Mapping[str, Tensor | None], right: Mapping[str, Tensor | None]) -> bool:
    """Equal names, and tensors of equal bits."""
    return left.keys() == right.keys() and all(map(_equal, left.values(), right.values()))


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bits(a), _bits(b))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().flatten().contiguous().view(torch.uint8)
