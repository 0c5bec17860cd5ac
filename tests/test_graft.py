"""Slots put into a host, and taken out again."""

import copy
from collections.abc import Callable

import pytest
import torch
import toys
from torch import Tensor, nn
from toys import (
    OPERATORS,
    Cnn,
    Container,
    Mlp,
    gradients,
    grafted,
    grow,
    images,
    same,
)

from kasmina.graft import Grafted, call, graft, match_sites, ungraft
from kasmina.hosts.gpt import GPT
from kasmina.site import Site
from kasmina.stage import Stage

TOKENS = torch.arange(12).reshape(2, 6)


def sequential() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def gpt() -> nn.Module:
    return GPT(vocab_size=12, context=6, depth=2, width=8, num_heads=2, dropout=0.1)


HOSTS: dict[str, tuple[Callable[[], nn.Module], list[str], Tensor]] = {
    "cnn": (Cnn, ["blocks.*"], toys.fixed(4, *toys.IMAGE)),
    "mlp": (Mlp, ["first", "second"], toys.fixed(4, 5)),
    "sequential": (sequential, ["*"], toys.fixed(4, 5)),
    "tuple": (lambda: Container("tuple"), ["blocks.*"], toys.fixed(4, 5)),
    "list": (lambda: Container("list"), ["blocks.*"], toys.fixed(4, 5)),
    "named": (lambda: Container("named"), ["blocks.*"], toys.fixed(4, 5)),
    "gpt": (gpt, ["blocks.*", "re:.*mlp"], TOKENS),
}
EVERY_HOST = pytest.mark.parametrize("name", HOSTS)


def two(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    """A bare host, its twin, and an input."""
    make, _, x = HOSTS[name]
    host = make()
    return host, copy.deepcopy(host), x


def step(module: nn.Module, x: Tensor) -> Tensor:
    """One forward and backward under a seed of its own."""
    torch.manual_seed(1)
    out: Tensor = module(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return out.detach()


@pytest.mark.parametrize("training", [True, False])
@EVERY_HOST
def test_a_host_with_empty_slots_is_the_bare_host(name: str, training: bool) -> None:
    host, bare, x = two(name)
    model = graft(host, HOSTS[name][1], x).train(training)
    bare.train(training)
    assert torch.equal(step(model, x), step(bare, x))
    assert same(gradients(host), gradients(bare))
    assert same(dict(host.named_buffers()), dict(bare.named_buffers()))
    assert list(host.state_dict()) == list(bare.state_dict())
    assert list(model.state_dict()) == [f"host.{key}" for key in bare.state_dict()]
    assert list(model.parameters()) == list(host.parameters())


@EVERY_HOST
def test_grafting_leaves_modes_buffers_random_state_and_gradients_alone(name: str) -> None:
    host, bare, x = two(name)
    next(iter(host.children())).eval()
    modes, rng = [m.training for m in host.modules()], torch.get_rng_state()
    graft(host, HOSTS[name][1], x)
    assert [m.training for m in host.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    assert same(host.state_dict(), bare.state_dict())
    assert all(parameter.grad is None for parameter in host.parameters())


@EVERY_HOST
def test_ungraft_gives_the_very_host_back(name: str) -> None:
    host, bare, x = two(name)
    model = graft(host, HOSTS[name][1], x)
    for slot in model:
        grow(model, slot.site.name, Stage.BLENDING)
    assert not torch.equal(step(model.eval(), x), step(bare.eval(), x))
    assert ungraft(model) is host
    host.zero_grad()
    bare.zero_grad()
    assert torch.equal(step(host, x), step(bare, x))
    assert same(gradients(host), gradients(bare))
    assert not any(module._forward_hooks for module in host.modules())
    assert list(vars(host)) == list(vars(bare))


def test_ungraft_leaves_the_hooks_of_others() -> None:
    host, seen = Mlp(), []
    host.first.register_forward_hook(lambda *_: seen.append("called"))
    ungraft(graft(host, ["first"], torch.randn(2, 5)))
    seen.clear()
    host(torch.randn(2, 5))
    assert seen == ["called"]


@pytest.mark.parametrize("container", ["tuple", "list", "named"])
@pytest.mark.parametrize("blend", OPERATORS)
def test_a_seed_changes_the_features_and_nothing_else_of_a_container(
    container: str, blend: str
) -> None:
    model, x = grafted(Container(container)), torch.randn(3, 5)
    slot = grow(model, "blocks.0", Stage.HOLDING, blend=blend, alpha=0.5)
    out = model.host.get_submodule("blocks.0")(x)
    bare = ungraft(model).get_submodule("blocks.0")(x)
    assert type(out) is type(bare)
    assert torch.equal(out[0], slot(bare[0]))
    assert out[1] == bare[1] == "note"


SITES = ["blocks.0", "blocks.1", "blocks.2"]


@pytest.mark.parametrize(
    ("patterns", "sites"),
    [
        (["blocks.1"], SITES[1:2]),
        (["blocks.*"], SITES),
        (["blocks.[02]"], SITES[::2]),
        (["blocks.2", "blocks.0"], SITES[::2]),
        (["blocks.*", "blocks.1"], SITES),
        (["*.?.conv"], [f"{site}.conv" for site in SITES]),
        (["re:blocks\\.[12]"], SITES[1:]),
        (["re:.*norm"], [f"{site}.norm" for site in SITES]),
        (["head"], ["head"]),
        ([], []),
    ],
)
def test_sites_are_named_exactly_by_wildcard_or_by_expression(
    patterns: list[str], sites: list[str]
) -> None:
    assert match_sites(Cnn(), patterns) == sites


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("block.1", "unknown site 'block.1'; did you mean 'blocks.1'"),
        ("blocks.9", "unknown site 'blocks.9'"),
        ("*1", "unknown site '*1'"),  # a wildcard does not cross a dot
        ("re:block", "unknown site 're:block'"),
        ("re:(", "site 're:(' is no regular expression"),
        ("", "unknown site ''"),
    ],
)
def test_a_pattern_that_names_nothing_is_named(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match="site") as raised:
        match_sites(Cnn(), ["head", pattern])
    assert said in str(raised.value)


class Boxed(nn.Module):
    """Puts out a dict."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x}


class Odd(nn.Module):
    """Submodules that no slot can sit behind."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.never = nn.Linear(5, 5), nn.Linear(5, 5)
        self.flat, self.boxed = nn.Flatten(0), Boxed()

    def forward(self, x: Tensor) -> Tensor:
        return self.flat(self.twice(self.twice(x))).sum() + self.boxed(x)["x"].sum()


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("twice", "site 'twice' is called 2 times in one forward"),
        ("never", "site 'never' is called 0 times in one forward"),
        ("flat", "site 'flat' puts out (15,); a slot takes"),
        ("boxed", "site 'boxed' puts out dict; a slot takes a tensor or a tuple"),
    ],
)
def test_a_site_that_a_slot_cannot_serve_is_refused_and_nothing_stays_behind(
    site: str, said: str
) -> None:
    host = Odd().train()
    with pytest.raises(ValueError, match="site") as raised:
        graft(host, [site], torch.randn(3, 5))
    assert said in str(raised.value)
    assert not any(module._forward_hooks for module in host.modules())
    assert all(module.training for module in host.modules())


def test_kind_width_and_shape_come_from_one_forward() -> None:
    kinds = {
        slot.site.name: slot.site for slot in graft(Cnn(width=4), ["blocks.0", "head"], images())
    }
    assert kinds == {
        "blocks.0": Site("blocks.0", "map", 4, (4, 6, 6)),
        "head": Site("head", "vector", 3, (3,)),
    }
    (slot,) = graft(gpt(), ["blocks.1"], TOKENS)
    assert slot.site == Site("blocks.1", "sequence", 8, (6, 8))


class Keywords(nn.Module):
    """Takes two inputs by position or by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.linear(left) - right


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_several_inputs_come_as_tuple_list_or_mapping(kind: type) -> None:
    left, right = torch.randn(2, 5), torch.randn(2, 5)
    inputs = {"left": left, "right": right} if kind is dict else kind([left, right])
    model = graft(Keywords(), ["linear"], inputs)
    assert torch.equal(call(model, inputs), model.host(left, right))


@pytest.mark.parametrize("training", [True, False])
def test_the_slots_take_the_mode_of_the_host(training: bool) -> None:
    model = grafted(Cnn().train(training))
    slot = grow(model, "blocks.0", Stage.TRAINING)
    assert {module.training for module in model.modules()} == {training}
    assert slot.seed is not None


def test_a_graft_without_sites_is_the_host() -> None:
    model = graft(Mlp(), [], torch.randn(2, 5))
    assert isinstance(model, Grafted)
    assert list(model) == []
