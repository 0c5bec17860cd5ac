"""A newborn that lives beside the network, and the gradients of its output weights.

Letters: N samples, O outputs and I inputs of a layer, T its pixels or tokens.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kasmina.contract import IDENTITY
from kasmina.graft import Grafted
from kasmina.nursery import like_host, newborn
from kasmina.probe.evidence import Curvature, Evidence, Layer
from kasmina.probe.jackknife import estimates
from kasmina.recipe import Recipe
from kasmina.seed import Seed
from kasmina.slot import SeedSlot

_PAIR = ("weight", "bias")


class Candidate:
    """The seed that ``nursery.germinate`` would put into a slot now.

    Args:
        model: whose dormant ``slot`` it is; neither is changed.
        curved: measure the curvature of its output weights as well.

    Raises:
        ValueError: at birth it is not the identity, so gradients of the host alone are not its own.
    """

    def __init__(
        self,
        model: Grafted,
        slot: SeedSlot,
        *,
        blueprint: Recipe,
        name: str,
        operator: Recipe,
        run_seed: int,
        curved: bool,
    ) -> None:
        self.site, self.name, self.births, self.curved = slot.site, name, slot.births, curved
        seed = newborn(slot, blueprint=blueprint, operator=operator, run_seed=run_seed)
        self.seed = like_host(seed, model.host).train(slot.training)
        self.alpha = torch.ones_like(slot.alpha)
        self.weights = output_weights(self.seed, self.alpha, self.noise())
        for parameter_name, parameter in self.seed.named_parameters():
            parameter.requires_grad_(parameter_name in self.weights)
        self.gradients: dict[str, list[Tensor]] = {each: [] for each in self.weights}
        self.sizes: list[int] = []
        self.factors = {path: _Factors(layer) for path, layer in self._linear_layers() if curved}

    def noise(self) -> Tensor:
        """Two samples of features, the same at every call and without a global random number."""
        generator = torch.Generator().manual_seed(0)
        h = torch.randn((2, *self.site.shape), generator=generator)
        return h.to(next(iter(self.seed.parameters())))

    def see(self, h: Tensor, gradient: Tensor, micro_batches: int) -> None:
        """Take in the features of a batch and dL/dh, cut into micro-batches along the samples."""
        samples = len(h)
        parts = min(micro_batches, samples)
        for features, asked in zip(
            h.tensor_split(parts), gradient.tensor_split(parts), strict=True
        ):
            # the loss is a mean over the batch; this is the mean over the micro-batch
            self._pull(features, asked, scale=samples / len(features))
            for factors in self.factors.values():
                factors.add(samples=len(features), batch=samples)
            self.sizes.append(len(features))

    def _pull(self, h: Tensor, asked: Tensor, *, scale: float) -> None:
        """Pull the gradient at the slot back to the output weights, through the seed alone."""
        out = self.seed(h, self.alpha)
        parameters = dict(self.seed.named_parameters())
        wanted = [parameters[name] for name in self.weights]
        taps = [factors.output() for factors in self.factors.values()]
        grads = torch.autograd.grad(out, [*wanted, *taps], asked.to(out.dtype))
        for name, grad in zip(self.weights, grads, strict=False):
            self.gradients[name].append(
                scale * grad.to(torch.promote_types(grad.dtype, torch.float))
            )
        for factors, grad in zip(self.factors.values(), grads[len(wanted) :], strict=True):
            factors.asked = grad

    def mean_gradients(self) -> dict[str, Tensor]:
        """Of the output weights, over all samples."""
        sizes = torch.tensor(self.sizes)
        return {n: estimates(torch.stack(each), sizes)[0] for n, each in self.gradients.items()}

    def evidence(self) -> Evidence:
        """Everything that was seen, for a criterion; no layers where nothing was to be seen."""
        sizes = torch.tensor(self.sizes)
        stacked = {name: torch.stack(each) for name, each in self.gradients.items() if each}
        layers = tuple(
            Layer(
                {local: estimates(stacked[name], sizes) for local, name in names.items()},
                self._curvature(
                    path, {local: stacked[name] for local, name in names.items()}, sizes
                ),
            )
            for path, names in self._layers().items()
            if self.sizes
        )
        return Evidence(
            self.site.name, self.name, self.births, estimates=len(sizes) + 1, layers=layers
        )

    def _layers(self) -> dict[str, dict[str, str]]:
        """Names of output weights by layer: weight and bias of a module, else each by itself."""
        layers: dict[str, dict[str, str]] = {}
        for name in self.weights:
            path, _, local = name.rpartition(".")
            layers.setdefault(path if local in _PAIR else name, {})[local] = name
        return layers

    def _linear_layers(self) -> Iterator[tuple[str, nn.Module]]:
        """Those whose output is one linear map of their input, with all weights silent."""
        for path, names in self._layers().items():
            owner = self.seed.get_submodule(path) if set(names) <= set(_PAIR) else None
            plain = type(owner) is nn.Linear or (
                type(owner) is nn.Conv2d
                and owner.groups == 1
                and owner.padding_mode == "zeros"
                and not isinstance(owner.padding, str)
            )
            if owner is not None and plain and len(list(owner.parameters())) == len(names):
                yield path, owner

    def _curvature(
        self, path: str, gradients: dict[str, Tensor], sizes: Tensor
    ) -> Curvature | None:
        if not self.curved:
            return None
        if path in self.factors:
            return self.factors[path].curvature()
        return Curvature(squares={n: _second_moment(g, sizes) for n, g in gradients.items()})


class _Factors:
    """Sums of the Kronecker factors of one layer, a linear map or a convolution."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.asked: Tensor | None = None
        self._came: Tensor | None = None
        self._put_out: Tensor | None = None
        self._sums: tuple[Tensor, Tensor] | None = None
        self._samples = 0
        layer.register_forward_hook(self._note)

    def _note(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._came, self._put_out = inputs[0].detach(), output

    def output(self) -> Tensor:
        """What the layer has put out, in the graph of the last forward."""
        assert self._put_out is not None, "the seed's forward comes first"
        return self._put_out

    def add(self, *, samples: int, batch: int) -> None:
        """Add a micro-batch, from its own loss's mean over ``batch`` samples to a sample's loss."""
        assert self._came is not None, "the seed's forward and backward come first"
        assert self.asked is not None, "the seed's forward and backward come first"
        a = _rows_of_inputs(self.layer, self._came)
        s = batch * _rows(self.layer, self.asked)
        places = len(s) // samples
        sums = a.T @ a, s.T @ s / places
        self._sums = (
            sums
            if self._sums is None
            else (
                self._sums[0] + sums[0],
                self._sums[1] + sums[1],
            )
        )
        self._samples += samples
        self._came = self._put_out = self.asked = None

    def curvature(self) -> Curvature:
        """E[sum_t a a^T] and E[mean_t s s^T]."""
        assert self._sums is not None, "nothing was added"
        return Curvature(self._sums[0] / self._samples, self._sums[1] / self._samples)


def _rows(layer: nn.Module, values: Tensor) -> Tensor:
    """(N T, O), channels last."""
    values = values.float() if values.dtype != torch.float64 else values
    return (values.movedim(1, -1) if isinstance(layer, nn.Conv2d) else values).flatten(0, -2)


def _rows_of_inputs(layer: nn.Module, came: Tensor) -> Tensor:
    """(N T, I): what each output is a linear map of, with a 1 where there is a bias."""
    if isinstance(layer, nn.Conv2d):
        options: dict[str, Any] = {
            "dilation": layer.dilation,
            "padding": layer.padding,
            "stride": layer.stride,
        }
        came = F.unfold(came, layer.kernel_size, **options).mT
    rows = _rows(nn.Identity(), came)
    return rows if layer.bias is None else F.pad(rows, (0, 1), value=1.0)


def _second_moment(gradients: Tensor, sizes: Tensor) -> Tensor:
    """E[g^2] over samples, from means over micro-batches: their spread, times their size."""
    mean = estimates(gradients, sizes)[0]
    spread = (gradients - mean).square().sum(0) / max(1, len(sizes) - 1)
    return mean.square() + spread * sizes.float().mean().to(spread)


def output_weights(seed: Seed, alpha: Tensor, h: Tensor) -> list[str]:
    """Names of the parameters that a newborn's output moves with; the rest wait behind zeros.

    Raises:
        ValueError: the newborn is not the identity.
    """
    names = [name for name, parameter in seed.named_parameters() if parameter.requires_grad]
    parameters = dict(seed.named_parameters())
    out = seed(h, alpha)
    if not ((out - h).abs().max() <= IDENTITY * h.abs().max()):
        raise ValueError(f"blueprint {seed.blueprint.name!r} is not the identity at birth")
    asked = torch.randn(h.shape, generator=torch.Generator().manual_seed(1)).to(h)
    grads = torch.autograd.grad(
        out, [parameters[n] for n in names], asked, allow_unused=True, materialize_grads=True
    )
    return [name for name, grad in zip(names, grads, strict=True) if grad.any()]
