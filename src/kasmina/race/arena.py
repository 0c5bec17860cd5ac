"""A copy of the network in which one seed after another is tried, the host still."""

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kasmina.flops import countable, counter, few
from kasmina.graft import Grafted, call
from kasmina.race.prefix import Prefix, called_once
from kasmina.race.terms import Batch, Terms
from kasmina.seed import Seed
from kasmina.stage import Stage


class Arena:
    """The copy; nothing that happens in it reaches the network that it was made of.

    Args:
        model: the network in training.
        terms: of the race.
        sites: where seeds will be tried.

    Attributes:
        num_host: parameters of the host.
        flops: of a forward of the network; a batch of ``few`` samples.
        above: of what a forward computes for a seed at each site, what is below computed once.
        shared: sites below which the host's work can be kept.
    """

    def __init__(self, model: Grafted, terms: Terms, sites: Collection[str]) -> None:
        self.model = still_copy(model)
        self.terms = terms
        self.num_host = sum(p.numel() for p in model.host.parameters())
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        inputs = few(terms.held_out[0][0])
        self.model.eval()
        self.once = called_once(self.model, inputs)
        self.flops = _flops(lambda: call(self.model, inputs))
        self.flops_a_sample = self.flops / len(few(terms.held_out[0][1]))
        above = {site: self._above(site, inputs) for site in sites}
        self.shared = frozenset(site for site, flops in above.items() if flops is not None)
        self.above = {s: self.flops if flops is None else flops for s, flops in above.items()}

    def prefix(self, batch: Batch, sites: Collection[str], training: bool) -> Prefix:
        """What the host computes of ``batch`` up to the last of ``sites``."""
        self.model.train(training)
        wanted = self.shared.intersection(sites)
        buffers = self.buffers()  # the host's own statistics stay what they are
        with self.terms.context(), torch.no_grad():
            return Prefix(self.model, wanted, lambda: self._run(batch, buffers, None), self.once)

    def outputs(
        self, batch: Batch, prefix: Prefix, site: str, seed: Seed, buffers: dict[str, Tensor]
    ) -> Any:
        """What the network returns with ``seed`` fully blended in at ``site``.

        Args:
            buffers: from ``buffers()``; a forward in train mode writes into them.
        """
        with self._tried(site, seed), prefix.below(site), self.terms.context():
            return self._run(batch, buffers, site)

    def buffers(self) -> dict[str, Tensor]:
        """A copy of the network's: each candidate adapts its own."""
        return {f"model.{name}": b.clone() for name, b in self.model.named_buffers()}

    def seed_flops(self, site: str, seed: Seed) -> float:
        """Of a forward, over that of the network without this seed."""
        inputs = few(self.terms.held_out[0][0])
        self.model.eval()
        with self._tried(site, seed):
            both = _flops(lambda: call(self.model, inputs, alphas={site: 1.0}))
        return (both - self.flops) / self.flops

    @contextmanager
    def _tried(self, site: str, seed: Seed) -> Iterator[None]:
        slot = self.model.slot(site)
        slot.seed = seed.train(self.model.training)
        try:
            yield
        finally:
            slot.seed = None

    def _run(self, batch: Batch, buffers: dict[str, Tensor], site: str | None) -> Any:
        return functional_call(_At(self.model, site), buffers, (batch[0],))

    def _above(self, site: str, inputs: Any) -> float | None:
        """FLOPs of a forward that takes what was kept; None where it is not the plain one, bit for
        bit."""
        with torch.no_grad(), counter() as counted:
            plain = call(self.model, inputs)
            prefix = Prefix(self.model, {site}, lambda: call(self.model, inputs), self.once)
            before = counted.get_total_flops()
            with prefix.below(site):
                same = _same(plain, call(self.model, inputs))
        return float(counted.get_total_flops() - before) if same else None


class _At(nn.Module):
    """The network, the seed of one slot blended in, as ``functional_call`` wants it."""

    def __init__(self, model: Grafted, site: str | None) -> None:
        super().__init__()
        self.model, self.alphas = model, {} if site is None else {site: 1.0}

    def forward(self, inputs: Any) -> Any:
        return call(self.model, inputs, alphas=self.alphas)


def still_copy(model: Grafted) -> Grafted:
    """A copy that asks for no gradient."""
    return own_copy(model).requires_grad_(False)


def own_copy(model: Grafted) -> Grafted:
    """A copy that tells nobody of its steps and trains no seed behind its host."""
    own = countable(copy.deepcopy(model))
    own.compile_seed = own.begin_step = own.share_seed = None
    for slot in own.at(Stage.TRAINING):
        slot.route = "host"
    for module in own.modules():
        if isinstance(module, nn.SyncBatchNorm):  # the other ranks are not here
            module.__class__ = _LocalBatchNorm  # type: ignore[assignment]
    return own


class _LocalBatchNorm(nn.modules.batchnorm._BatchNorm):
    def _check_input_dim(self, input: Tensor) -> None:
        return


def _flops(work: Any) -> float:
    with torch.no_grad(), counter() as counted:
        work()
    return float(counted.get_total_flops())


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return all(_same(left[key], right[key]) for key in left)
    if isinstance(left, tuple | list):
        return all(map(_same, left, right))
    return bool(left == right)
