"""The networks whose whole lives are compiled: this project's, and one with naive slots."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.compiling import Compile, compile_in_place
from kasmina.graft import graft, ungraft
from kasmina.hosts.convnet import ConvNet
from kasmina.hosts.gpt import GPT
from kasmina.incubation import Shadow
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.site import Site
from kasmina.stage import Event

TICKS = 8
EVENTS = ("germinate", "train", "blend", *["alpha"] * (TICKS - 1), "hold")


class Watched:
    """A backend of torch.compile that counts how often its graphs run."""

    def __init__(self, name: str) -> None:
        self.inner = torch._dynamo.lookup_backend(name)
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        compiled = self.inner(graph, inputs)

        def run(*args: Any) -> Any:
            self.runs += 1
            return compiled(*args)

        return run


class NaiveSlot(nn.Module):
    """What one writes first: stage and alpha are plain Python, and forward asks for both."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.stage, self.alpha = "dormant", 0.0
        self.seed: nn.Module | None = None

    def forward(self, h: Tensor) -> Tensor:
        if self.seed is None or self.stage == "germinate":
            return h
        if self.stage == "train":
            z = self.seed(h.detach())
            return h + (z - z.detach())
        z = self.seed(h)
        return z if self.stage == "fossilize" else h + self.alpha * (z - h)


@dataclass
class Task:
    """A host to build, what it reads, and the two blueprints that grow in it."""

    build: Callable[[], nn.Module]
    sites: str
    x: Tensor
    y: Tensor
    blueprints: tuple[Recipe, Recipe]

    def loss(self, out: Tensor) -> Tensor:
        return nn.functional.cross_entropy(out.flatten(0, -2), self.y.flatten())


class Ours:
    """A network of this project.

    Args:
        scope: of ``Compile``; empty: eager.
    """

    def __init__(self, task: Task, scope: Any, backend: Any) -> None:
        torch.manual_seed(0)
        self.task = task
        self.model = graft(task.build().to(task.x.device), [task.sites], task.x)
        self.sites = [slot.site.name for slot in self.model]
        self.shadow = Shadow()
        mode: Any = "default" if scope else "off"
        compile_in_place(self.model, Compile(mode, scope or "blocks", backend=backend))

    def move(self, site: str, event: str, blueprint: Recipe) -> None:
        slot = self.model.slot(site)
        if event == "germinate":
            add = Recipe("add", "kasmina.blend.Add")
            germinate(self.model, site, blueprint=blueprint, operator=add, run_seed=0)
        elif event == "alpha":
            slot.advance()
        elif event == "blend":
            slot.move(Event.BLEND, Ramp("linear", ticks=TICKS))
        else:
            events = ("prune", "embargo", "release") if event == "prune" else (event,)
            for each in events:
                slot.move(Event(each))

    def train(self) -> None:
        self.model.train().zero_grad()
        loss = self.task.loss(self.model(self.task.x))
        extra = self.shadow.loss(self.model, self.task.x, self.task.loss, 0)
        (loss if extra is None else loss + extra).backward()

    @torch.no_grad()
    def evaluate(self) -> None:
        self.model.eval()(self.task.x)


def _tap(slot: NaiveSlot, _module: nn.Module, _args: Any, out: Tensor) -> Tensor:
    return slot(out)


class Naive:
    """The same host with naive slots, compiled as a whole as torch has it by itself."""

    def __init__(self, task: Task, _scope: Any, backend: Any) -> None:
        torch.manual_seed(0)
        self.task = task
        model = graft(task.build().to(task.x.device), [task.sites], task.x)
        self.slots = {slot.site.name: NaiveSlot(slot.site) for slot in model}
        self.sites = list(self.slots)
        self.host = ungraft(model)
        for name, slot in self.slots.items():
            self.host.get_submodule(name).register_forward_hook(functools.partial(_tap, slot))
        self.call = torch.compile(self.host.forward, backend=backend)

    def move(self, site: str, event: str, blueprint: Recipe) -> None:
        slot = self.slots[site]
        if event == "germinate":
            slot.seed = blueprint.build(slot.site).to(self.task.x.device)
        if event in {"blend", "alpha"}:
            slot.alpha += 1 / TICKS
        if event == "prune":
            slot.seed, slot.alpha = None, 0.0
        if event != "alpha":
            slot.stage = event

    def train(self) -> None:
        modules = nn.ModuleList([self.host, *self.slots.values()])
        modules.train().zero_grad()
        self.task.loss(self.call(self.task.x)).backward()

    @torch.no_grad()
    def evaluate(self) -> None:
        nn.ModuleList([self.host, *self.slots.values()]).eval()
        self.call(self.task.x)


ARMS: dict[str, tuple[type[Ours] | type[Naive], str]] = {
    "naive slots, whole": (Naive, "whole"),
    "kasmina, whole": (Ours, "whole"),
    "kasmina, blocks": (Ours, "blocks"),
}


def tasks(device: str, *, small: bool, quick: bool) -> dict[str, Task]:
    """A ConvNet with three slots and a GPT of four blocks with one.

    Args:
        small: features that are enough to count graphs.
        quick: of one stage and one slot, no GPT.
    """
    torch.manual_seed(0)
    size, tokens, batch, width = (8, 8, 2, 8) if small else (32, 64, 32, 64)
    widths = (4,) if quick else (width // 4, width // 2, width)
    x, y = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))
    text = torch.randint(64, (2, batch, tokens))
    convnet = Task(
        lambda: ConvNet(in_channels=3, num_classes=10, widths=widths),
        "stages.*",
        x.to(device),
        y.to(device),
        (blueprint("norm.Norm"), blueprint("conv.Conv")),
    )
    gpt = Task(
        lambda: GPT(vocab_size=64, context=tokens, depth=4, width=width),
        "blocks.1",
        text[0].to(device),
        text[1].to(device),
        (blueprint("token_norm.TokenNorm"), blueprint("mlp.MLP")),
    )
    return {"ConvNet": convnet} if quick else {"ConvNet": convnet, "GPT": gpt}


def blueprint(path: str) -> Recipe:
    return Recipe(path, f"kasmina.blueprints.{path}")
