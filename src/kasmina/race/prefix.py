"""The part of a host's forward below a site, computed once for all that are tried there.

The host stands still in a race, so whatever it computes before a site's module returns is the same
for every seed at that site. What its submodules put out up to there is kept, and a later forward
takes it instead of computing it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.graft import Grafted, call


class _Reached(Exception):
    """The last site has been passed: nothing above it is of interest."""


class Prefix:
    """What the submodules of a host put out in one forward up to the last of ``sites``.

    Kept is what comes out as a tensor, of the outermost modules: of a site's module before its slot
    has seen it, of all others after.

    Args:
        model: the network.
        forward: runs it.
        once: names of the modules that a forward calls once; any other is computed again.
    """

    def __init__(
        self,
        model: Grafted,
        sites: Collection[str],
        forward: Callable[[], Any],
        once: Collection[str],
    ) -> None:
        self.model = model
        self.below_site: dict[str, dict[str, Tensor]] = {}
        self._kept: dict[str, Tensor] = {}
        self._open = set(sites)
        if self._open:
            reach = _heard(model.host, self._reach, self._open & set(once), first=True)
            keep = _heard(model.host, self._keep, once)
            with reach, keep, torch.no_grad(), suppress(_Reached):
                forward()

    def _keep(self, name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            inside = f"{name}."
            self._kept = {n: t for n, t in self._kept.items() if not n.startswith(inside)}
            self._kept[name] = output.clone()  # what comes after may write into it

    def _reach(self, name: str, output: Any) -> None:
        before = self._kept
        self._kept = dict(before)
        self._keep(name, output)
        self.below_site[name], self._kept = self._kept, before
        self._open.discard(name)
        if not self._open:
            raise _Reached

    @contextmanager
    def below(self, site: str) -> Iterator[None]:
        """Forwards in here take what was kept up to ``site``, and compute what comes after."""
        kept = self.below_site.get(site, {})
        modules = {name: self.model.host.get_submodule(name) for name in kept}
        passed = [s for s in self.model if s.site.name in kept and s.site.name != site]
        routes = [slot.route for slot in passed]
        try:
            for name, output in kept.items():
                modules[name].forward = _Kept(output)
            for slot in passed:  # what was kept has been through it
                slot.route = "host"
            yield
        finally:
            for module in modules.values():
                vars(module).pop("forward", None)
            for slot, route in zip(passed, routes, strict=True):
                slot.route = route


class _Kept:
    """Stands in for a module's forward."""

    def __init__(self, output: Tensor) -> None:
        self.output = output

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.output.clone()


def called_once(model: Grafted, inputs: Any) -> frozenset[str]:
    """The host's submodules that one forward calls once."""
    calls: Counter[str] = Counter()
    names = {name for name, _ in model.host.named_modules() if name}
    with _heard(model.host, lambda name, _: calls.update([name]), names), torch.no_grad():
        call(model, inputs)
    return frozenset(name for name, count in calls.items() if count == 1)


@contextmanager
def _heard(
    host: nn.Module, hear: Any, names: Collection[str], *, first: bool = False
) -> Iterator[None]:
    """Tell ``hear`` what the named modules put out; ``first``: before a slot has seen it."""

    def hook(name: str) -> Any:
        return lambda module, args, output: hear(name, output)

    handles = [
        module.register_forward_hook(hook(name), prepend=first)
        for name, module in host.named_modules()
        if name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
