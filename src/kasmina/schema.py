"""The keys of a config, their types and their choices.

A ``Target`` is a mapping with ``_target_``; its keys are the arguments of what it names, so they
are read from there. ``Given`` names the arguments that the program passes itself.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType

Target = NewType("Target", dict[str, Any])


@dataclass(frozen=True)
class Given:
    """Arguments of a target that stand in no config, because the program passes them."""

    names: frozenset[str]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", frozenset(names))


@dataclass
class Growth:
    """What seeds have of their own in training."""

    seed_lr: float | None
    seed_weight_decay: float | None
    isolate: bool


@dataclass
class Slots:
    """Where a host may grow."""

    sites: list[str]
    planted: dict[str, str] | None


@dataclass
class RampOptions:
    """The way of a seed's alpha."""

    curve: Literal["linear", "cosine", "sigmoid"]
    ticks: int
    target: float


@dataclass
class Attention:
    """How attention is computed, in hosts and in seeds."""

    backend: Literal["auto", "math", "flash", "efficient", "cudnn", "flex"]


@dataclass
class MemoryFormat:
    """How feature maps lie in memory."""

    name: Literal["contiguous", "channels_last"]


@dataclass
class Compile:
    """What ``torch.compile`` is told."""

    mode: Literal["off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
    scope: Literal["whole", "blocks"]
    fullgraph: bool
    dynamic: bool | None
    backend: str


@dataclass
class Paths:
    """Where things lie."""

    run_dir: str | None


@dataclass
class Config:
    """The whole config of a run."""

    name: str
    seed: int
    threads: int | None
    tags: list[str]
    resume: str | None
    test: bool
    report: bool
    data_root: str
    paths: Paths
    growth: Growth
    data: Target
    host: Target
    task: Target
    slots: Slots
    blueprint: dict[str, Annotated[Target, Given("site")]]
    blend: Annotated[Target, Given("site")]
    ramp: RampOptions
    incubation: Target
    controller: Target
    baseline: Target | None
    timing: Target
    pace: Target
    attention: Attention
    memory_format: MemoryFormat
    compile: Compile
    optimizer: Annotated[Target, Given("params")]
    scheduler: Target
    trainer: Annotated[Target, Given("callbacks", "logger")]
    callbacks: dict[str, Target | None]
    logger: dict[str, Target | None]
