"""What every blueprint promises, one law a function, usable on anybody's blueprint.

A law takes a recipe and a site, builds newborns as a slot does, and raises ``ContractBroken`` with
one line that says what it saw. No law moves the global random state.
"""

import copy
import functools
import io
import pickle
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from kasmina.layout import guard_groupnorms
from kasmina.recipe import Recipe
from kasmina.rng import undisturbed
from kasmina.site import Kind, Site

Law = Callable[[Recipe, Site], None]

LAWS: dict[str, Law] = {}
"""Every law by name, in the order in which ``check`` holds them."""

IDENTITY = 1e-6  # largest difference at birth, as a share of the largest feature
LIVE_STEPS = 2
FIT_STEPS, FIT_RATE, FIT_SHARE = 100, 1e-2, 0.5  # Adam; at most this share of the loss is left
STIR = 0.3  # standard deviation of what is added to each parameter of the copy to be fitted
ROUNDING = 1e-4  # float32, the same sum in another order

_EXTENT: dict[Kind, tuple[int, ...]] = {"map": (6, 6), "sequence": (12,), "vector": ()}


class ContractBroken(Exception):
    """A blueprint does not do what every blueprint must."""


def site_of(kind: Kind, width: int = 16) -> Site:
    """A small site of this kind, to try a blueprint on."""
    extent = _EXTENT[kind]
    shape = (width, *extent) if kind == "map" else (*extent, width)
    return Site("contract", kind, width, shape)


def check(recipe: Recipe, kind: Kind, *, width: int = 16) -> None:
    """Hold every law against a blueprint.

    Args:
        recipe: the blueprint with its options.
        kind: of the features to try it on.
        width: of the features, where the blueprint does not take every one.

    Raises:
        ContractBroken: by the first law that does not hold.
    """
    site = site_of(kind, width)
    for law in LAWS.values():
        law(recipe, site)


def _law(hold: Law) -> Law:
    """Register a law; what it raises names the blueprint, and its random numbers are its own."""

    @functools.wraps(hold)
    def law(recipe: Recipe, site: Site) -> None:
        where = f"{recipe.name} on a {site.kind}, {hold.__name__}"
        with undisturbed(torch.device("cpu")):
            torch.manual_seed(0)
            try:
                hold(recipe, site)
            except ContractBroken as broken:
                raise ContractBroken(f"{where}: {broken}") from None
            except (RuntimeError, TypeError, ValueError) as error:
                text = f"{where}: raised {type(error).__name__}: {_first_line(error)}"
                raise ContractBroken(text) from error

    LAWS[hold.__name__] = law
    return law


@_law
def kinds(recipe: Recipe, site: Site) -> None:
    """Names in ``kinds`` the features that it transforms."""
    named = getattr(recipe.locate(), "kinds", ())
    if site.kind not in named:
        raise ContractBroken(
            f"its class transforms {' or '.join(named) or 'no kind that it names'}"
        )


@_law
def shape(recipe: Recipe, site: Site) -> None:
    """Puts out the shape that it takes, for one sample and several, in train and eval mode."""
    for seed, h in _modes(recipe, site):
        for features in (h, h[:1]):
            out = seed(features)
            if out.shape != features.shape:
                raise ContractBroken(f"{tuple(features.shape)} in, {tuple(out.shape)} out")


@_law
def untouched_input(recipe: Recipe, site: Site) -> None:
    """Does not write into its input, which the host goes on using."""
    for seed, h in _modes(recipe, site):
        before = h.clone()
        seed(h)
        if not torch.equal(h, before):
            raise ContractBroken("it changed its input in place")


@_law
def identity(recipe: Recipe, site: Site) -> None:
    """Equals its input at birth, in train and eval mode."""
    for seed, h in _modes(recipe, site):
        off = ((seed(h) - h).abs().max() / h.abs().max()).item()
        if not off <= IDENTITY:
            raise ContractBroken(f"a newborn changes the features by {off:.1e} of the largest")


@_law
def live_gradient(recipe: Recipe, site: Site) -> None:
    """Every parameter gets a gradient that is finite, and not zero within two steps."""
    seed, h = _born(recipe, site), _features(site)
    target = h + torch.randn_like(h)
    waiting = [name for name, parameter in seed.named_parameters() if parameter.requires_grad]
    if not waiting:
        raise ContractBroken("it has nothing to train")
    optimizer = torch.optim.Adam(seed.parameters(), FIT_RATE)
    for _ in range(LIVE_STEPS):
        _step(seed, h, target=target, optimizer=optimizer)
        grads = {name: p.grad for name, p in seed.named_parameters() if p.grad is not None}
        wild = [name for name, grad in grads.items() if not grad.isfinite().all()]
        if wild:
            raise ContractBroken(f"inf or nan in the gradient of {', '.join(wild)}")
        waiting = [name for name in waiting if name not in grads or not grads[name].any()]
    if waiting:
        raise ContractBroken(f"no gradient in {LIVE_STEPS} steps for {', '.join(waiting)}")


@_law
def fits_residual(recipe: Recipe, site: Site) -> None:
    """Learns what a copy of itself with other weights adds to the features."""
    seed, h = _born(recipe, site).eval(), _features(site, samples=16)
    with torch.no_grad():
        target = _stirred(seed)(h)
    optimizer = torch.optim.Adam(seed.parameters(), FIT_RATE)
    losses = [_step(seed, h, target=target, optimizer=optimizer) for _ in range(FIT_STEPS)]
    if not losses[-1] <= FIT_SHARE * losses[0] or losses[0] == 0.0:
        raise ContractBroken(
            f"{FIT_STEPS} steps took the loss from {losses[0]:.2g} to {losses[-1]:.2g}, "
            f"more than {FIT_SHARE:.0%} of it"
        )


@_law
def dtype(recipe: Recipe, site: Site) -> None:
    """Moved to float32, bfloat16 or float64, computes in it and puts out finite numbers."""
    for kept in (torch.float32, torch.bfloat16, torch.float64):
        seed, h = _stirred(_born(recipe, site)).to(kept), _features(site).to(kept)
        out = seed(h)
        if out.dtype != kept:
            raise ContractBroken(f"{kept} in, {out.dtype} out")
        if not out.isfinite().all():
            raise ContractBroken(f"inf or nan in {kept}")


@_law
def memory_layout(recipe: Recipe, site: Site) -> None:
    """Computes the same however the features lie in memory, and keeps a map's memory format."""
    seed, h = _stirred(_born(recipe, site).eval()), _features(site)
    expected = seed(h)
    _keeps(torch.contiguous_format, expected)
    if site.kind == "map":
        seed = seed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for needs_grad in (True, False):  # a seed that trains behind the host sees detached features
        out = seed(_strided(h).requires_grad_(needs_grad))
        out.square().mean().backward()
        _same("features of other strides", expected, out)
        if site.kind == "map":
            _keeps(torch.channels_last, out)


@_law
def pickling(recipe: Recipe, site: Site) -> None:
    """Comes back from pickle as it went."""
    seed, h = _stirred(_born(recipe, site).eval()), _features(site)
    try:
        again = pickle.loads(pickle.dumps(seed))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ContractBroken(f"cannot be pickled: {_first_line(error)}") from error
    if not torch.equal(again(h), seed(h)):
        raise ContractBroken("a pickled copy computes something else")


@_law
def state_dict(recipe: Recipe, site: Site) -> None:
    """A state_dict of plain tensors, loaded into another newborn, makes it the same bit for bit."""
    seed, h = _stirred(_born(recipe, site).eval()), _features(site)
    file = io.BytesIO()
    torch.save(seed.state_dict(), file)
    file.seek(0)
    torch.manual_seed(1)
    other = _born(recipe, site).eval()
    try:
        other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    except pickle.UnpicklingError as error:
        raise ContractBroken(f"its state is more than tensors: {_first_line(error)}") from error
    if not torch.equal(other(h), seed(h)):
        raise ContractBroken("its state does not hold everything that it computes with")


@_law
def compiles(recipe: Recipe, site: Site) -> None:
    """Is one graph for torch.compile, and computes the same with it, gradients too."""
    torch.compiler.reset()  # graphs of other seeds of the class count towards one limit
    seed = _stirred(_born(recipe, site).eval())
    h = _strided(_features(site))
    compiled = torch.compile(seed, fullgraph=True, backend="aot_eager")
    eager_out, eager_grads = _out_and_grads(seed, seed, h)
    out, grads = _out_and_grads(compiled, seed, h)
    _same("compiled", eager_out, out)
    for name, grad in eager_grads.items():
        _same(f"compiled, the gradient of {name}", grad, grads[name])


def _born(recipe: Recipe, site: Site) -> nn.Module:
    seed = recipe.build(site)
    if not isinstance(seed, nn.Module):
        raise ContractBroken(f"it builds a {type(seed).__name__}, not a module")
    guard_groupnorms(seed)
    return seed


def _features(site: Site, *, samples: int = 4) -> Tensor:
    return torch.randn(samples, *site.shape)


def _modes(recipe: Recipe, site: Site) -> Iterator[tuple[nn.Module, Tensor]]:
    """A newborn in train mode and in eval mode, with features."""
    for training in (True, False):
        yield _born(recipe, site).train(training), _features(site)


def _stirred(seed: nn.Module) -> nn.Module:
    """A copy with noise on every parameter: not silent any more, within reach of the original."""
    seed = copy.deepcopy(seed)
    with torch.no_grad():
        for parameter in seed.parameters():
            parameter.add_(STIR * torch.randn_like(parameter))
    return seed


def _strided(h: Tensor) -> Tensor:
    """The same values, the last axis not the fastest; a map in channels_last."""
    if h.dim() == 4:
        return h.contiguous(memory_format=torch.channels_last)
    return h.transpose(0, -1).contiguous().transpose(0, -1)


def _step(seed: nn.Module, h: Tensor, *, target: Tensor, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = (seed(h) - target).square().mean()
    loss.backward()
    optimizer.step()
    item: float = loss.item()
    return item


def _out_and_grads(
    call: Callable[[Tensor], Tensor], seed: nn.Module, h: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    parameters = dict(seed.named_parameters())
    out = call(h)
    grads = torch.autograd.grad(out.square().mean(), list(parameters.values()))
    return out, dict(zip(parameters, grads, strict=True))


def _same(what: str, expected: Tensor, came: Tensor) -> None:
    off = ((came - expected).abs().max() / expected.abs().max().clamp_min(1e-12)).item()
    if not off <= ROUNDING:
        raise ContractBroken(f"{what}: off by {off:.1e} of the largest")


def _keeps(memory_format: torch.memory_format, out: Tensor) -> None:
    if not out.is_contiguous(memory_format=memory_format):
        raise ContractBroken(f"{memory_format} in, another memory format out")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
