"""Put slots into a host at named places, and take them out again.

The host stays an ordinary module: a slot is reached through a forward hook on its site, so the
host's class, its code and its own ``state_dict`` keys are what they were.
"""

import fnmatch
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.rng import undisturbed
from kasmina.site import Site
from kasmina.slot import SeedSlot
from kasmina.stage import Stage
from kasmina.suggest import unknown


class _Tap:
    """The hook on a site: its output passes through the slot."""

    def __init__(self, slot: SeedSlot) -> None:
        self.slot = slot

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return self.slot(output)
        return _with_features(output, self.slot(_features(self.slot.site.name, output)))


class Grafted(nn.Module):
    """A host with slots; called as the host is called. Made by ``graft``.

    Attributes:
        host: the module that was given.
        slots: a ``SeedSlot`` a site, the name's dots written as slashes.
        compile_seed: how the body of a seed is compiled that comes to live here.
        begin_step: called before a forward that is no look at another network.
        share_seed: how a seed is cut into shares that comes to live here, each rank to hold one.
        twin: makes a network like this one without numbers, where this one cannot be copied.
    """

    compile_seed: Callable[[nn.Module], None] | None = None
    begin_step: Callable[[], None] | None = None
    share_seed: Callable[[nn.Module], None] | None = None
    twin: "Callable[[], Grafted] | None" = None

    def __init__(self, host: nn.Module, slots: Sequence[SeedSlot]) -> None:
        super().__init__()
        self.host = host
        self.slots = nn.ModuleDict({_key(slot.site.name): slot for slot in slots})
        self.training = host.training
        self.slots.train(host.training)
        self._taps = [
            host.get_submodule(slot.site.name).register_forward_hook(_Tap(slot)) for slot in slots
        ]

    def forward(self, *args: Any, alphas: Mapping[str, float] | None = None, **kwargs: Any) -> Any:
        """What the host returns.

        Args:
            alphas: look at another network for this one pass: the seed of each named slot is
                blended in at this alpha, whatever its stage (0 takes it out).
        """
        if not alphas:
            if self.begin_step is not None:
                self.begin_step()
            return self.host(*args, **kwargs)
        with self._seen_at(alphas):
            return self.host(*args, **kwargs)

    def slot(self, name: str) -> SeedSlot:
        """The slot at a site.

        Raises:
            ValueError: no slot of that name; the nearest one is named.
        """
        if _key(name) not in self.slots:
            raise ValueError(unknown("slot", name, [slot.site.name for slot in self]))
        return self.slots[_key(name)]  # type: ignore[return-value]

    def __iter__(self) -> Iterator[SeedSlot]:
        """The slots, in the order in which the host names their sites."""
        return iter(self.slots.values())  # type: ignore[arg-type]

    def at(self, *stages: Stage) -> list[SeedSlot]:
        """The slots in one of these stages."""
        return [slot for slot in self if slot.stage in stages]

    @contextmanager
    def _seen_at(self, alphas: Mapping[str, float]) -> Iterator[None]:
        """Other alpha tensors and routes for one pass: a filled alpha would break the backward of
        an earlier pass, and an argument of its own would cost a graph a slot."""
        slots = [self.slot(name) for name in alphas]
        kept = [(slot.alpha, slot.route) for slot in slots]
        for slot, alpha in zip(slots, alphas.values(), strict=True):
            slot.alpha = _constant(alpha, slot.alpha.dtype, slot.alpha.device)
            slot.route = "host" if slot.seed is None else "blend"
        try:
            yield
        finally:
            for slot, (alpha_kept, route) in zip(slots, kept, strict=True):
                slot.alpha, slot.route = alpha_kept, route


@functools.lru_cache(maxsize=256)
def _constant(alpha: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Never filled anew: CUDA graphs hold on to the address of a buffer."""
    with torch.inference_mode(False):  # made in a validation, it may be saved for a backward later
        return torch.full((), alpha, dtype=dtype, device=device)


def graft(
    host: nn.Module,
    sites: Sequence[str],
    example: Any,
    *,
    listens: bool = False,
    isolate: bool = False,
) -> Grafted:
    """Put an empty slot behind each of the host's submodules that ``sites`` names.

    Args:
        host: any module; it is not copied, and computes the same as before.
        sites: names of submodules: exact (``stages.1``), with wildcards that do not cross a dot
            (``stages.*``), or ``re:`` and a regular expression of the whole name.
        example: one batch of inputs; a tuple or list is spread as positional arguments, a mapping
            as keyword arguments. One forward in eval mode tells each site's kind and width.
        listens, isolate: see ``SeedSlot``.

    Raises:
        ValueError: a pattern that names no submodule, a site that one forward does not reach
            exactly once, or features of a shape that no slot takes.
    """
    names = match_sites(host, sites)
    shapes = _observe(host, names, example)
    device = next((p.device for p in host.parameters()), torch.device("cpu"))
    slots = [
        SeedSlot(Site.of(name, shape), listens=listens, isolate=isolate).to(device)
        for name, shape in shapes.items()
    ]
    return Grafted(host, slots)


def ungraft(model: Grafted) -> nn.Module:
    """Take every slot out and give the host back as it was before ``graft``."""
    for tap in model._taps:
        tap.remove()
    return model.host


def match_sites(host: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The names of the submodules that any pattern names, in the host's order.

    Raises:
        ValueError: a pattern that names none.
    """
    names = [name for name, _ in host.named_modules() if name]
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if _matches(name, pattern)}
        if not found:
            raise ValueError(unknown("site", pattern, names))
        chosen |= found
    return [name for name in names if name in chosen]


def _matches(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        try:
            return re.fullmatch(pattern.removeprefix("re:"), name) is not None
        except re.error as error:
            raise ValueError(f"site {pattern!r} is no regular expression: {error}") from None
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _observe(host: nn.Module, names: Sequence[str], example: Any) -> dict[str, tuple[int, ...]]:
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in names}
    handles = [
        host.get_submodule(name).register_forward_hook(
            lambda _module, _args, out, name=name: seen[name].append(_features(name, out).shape)
        )
        for name in names
    ]
    try:
        _run_once(host, example)
    finally:
        for handle in handles:
            handle.remove()
    for name, shapes in seen.items():
        if len(shapes) != 1:
            raise ValueError(
                f"site {name!r} is called {len(shapes)} times in one forward of the host; "
                "a slot needs a site that is called once"
            )
    return {name: tuple(shapes[0]) for name, shapes in seen.items()}


def _run_once(host: nn.Module, example: Any) -> None:
    """One forward that leaves modes, buffers and random state as they were."""
    modes = {module: module.training for module in host.modules()}
    device = next((p.device for p in host.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), undisturbed(device):
            host.eval()
            call(host, example)
    finally:
        for module, training in modes.items():
            module.training = training


def call(model: nn.Module, inputs: Any, **kwargs: Any) -> Any:
    """Call a model with a batch of inputs: a mapping as keywords, a tuple or list spread."""
    if isinstance(inputs, Mapping):
        return model(**inputs, **kwargs)
    if isinstance(inputs, tuple | list):
        return model(*inputs, **kwargs)
    return model(inputs, **kwargs)


def _features(name: str, output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    raise ValueError(
        f"site {name!r} puts out {type(output).__name__}; a slot takes a tensor or a tuple that "
        "begins with one"
    )


def _with_features(output: Any, features: Tensor) -> Any:
    rest = (features, *output[1:])
    return (
        output._replace(**{output._fields[0]: features})
        if hasattr(output, "_fields")
        else (type(output)(rest))
    )


def _key(name: str) -> str:
    return name.replace(".", "/")  # ModuleDict refuses dots; no attribute has a slash
