"""Each law of the contract finds the blueprint that breaks it."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from kasmina.contract import LAWS, ContractBroken, check, site_of
from kasmina.recipe import Recipe
from kasmina.site import Kind, Site


class Honest(nn.Module):
    """h + last(tanh(first(h))): keeps every law, and the others each break one."""

    kinds: ClassVar[tuple[Kind, ...]] = ("vector", "sequence")

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.first = nn.Linear(site.width, site.width)
        self.last = nn.Linear(site.width, site.width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def delta(self, h: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(h)))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.delta(h)


class OnMaps(Honest):
    kinds = ("map",)


class Narrower(Honest):
    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h)[..., :-1]


class InPlace(Honest):
    def forward(self, h: Tensor) -> Tensor:
        out = super().forward(h)
        h.zero_()
        return out


class LoudAtBirth(Honest):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        nn.init.ones_(self.last.bias)


class LoudInEval(Honest):
    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h) if self.training else 2 * h


class Dead(Honest):
    """The classic: zeros, then a normalisation and a ReLU."""

    def delta(self, h: Tensor) -> Tensor:
        return torch.relu(nn.functional.layer_norm(super().delta(h), h.shape[-1:]))


class Exploding(Honest):
    def delta(self, h: Tensor) -> Tensor:
        return super().delta(h).abs().sqrt()  # infinite slope at zero


class Unused(Honest):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.spare = nn.Linear(2, 2)


class Frozen(Honest):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.requires_grad_(False)


class Deaf(Honest):
    """Learns a billion times slower than it would have to."""

    def delta(self, h: Tensor) -> Tensor:
        slow = super().delta(h)
        return slow.detach() + 1e-9 * (slow - slow.detach())


class AlwaysFloat(Honest):
    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h).float()


class Flattening(Honest):
    """View of a tensor that may be strided."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.view(-1).view(h.shape))


class Contiguous(nn.Conv2d):
    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site) -> None:
        super().__init__(site.width, site.width, 1)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, h: Tensor) -> Tensor:
        return (h + super().forward(h)).contiguous()


class Unpicklable(Honest):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.activation = lambda h: torch.tanh(h)


class HiddenState(Honest):
    """Part of what it computes with is a buffer that is not saved."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.register_buffer("mask", torch.rand(site.width), persistent=False)

    def delta(self, h: Tensor) -> Tensor:
        return super().delta(h) * self.mask


class Breaking(Honest):
    """Branches on data."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h) if h.sum().item() < 1e9 else h


BREAKS: list[tuple[str, type[nn.Module], str]] = [
    ("kinds", OnMaps, "its class transforms map"),
    ("shape", Narrower, "out"),
    ("untouched_input", InPlace, "in place"),
    ("identity", LoudAtBirth, "a newborn changes the features"),
    ("identity", LoudInEval, "a newborn changes the features by 1.0e"),
    ("live_gradient", Dead, "no gradient in 2 steps for first.weight"),
    ("live_gradient", Exploding, "inf or nan in the gradient of first.weight"),
    ("live_gradient", Unused, "for spare.weight, spare.bias"),
    ("live_gradient", Frozen, "nothing to train"),
    ("fits_residual", Deaf, "100 steps took the loss from"),
    ("dtype", AlwaysFloat, "torch.bfloat16 in, torch.float32 out"),
    ("memory_layout", Flattening, "raised RuntimeError: view size"),
    ("memory_layout", Contiguous, "torch.channels_last in, another memory format out"),
    ("pickling", Unpicklable, "cannot be pickled"),
    ("state_dict", HiddenState, "everything that it computes with"),
    ("compiles", Breaking, "raised "),
]


def recipe_of(blueprint: type[nn.Module]) -> Recipe:
    return Recipe(blueprint.__name__, f"{__name__}.{blueprint.__name__}")


def hold(law: str, blueprint: Any) -> None:
    kind: Kind = "sequence" if issubclass(blueprint, Honest) else "map"
    LAWS[law](recipe_of(blueprint), site_of(kind))


@pytest.mark.parametrize(("law", "blueprint", "saw"), BREAKS)
def test_each_law_finds_what_breaks_it(law: str, blueprint: type[nn.Module], saw: str) -> None:
    with pytest.raises(ContractBroken) as broken:
        hold(law, blueprint)
    line = str(broken.value)
    assert line.startswith(f"{blueprint.__name__} on a ")
    assert f", {law}: " in line
    assert saw in line
    assert "\n" not in line


def test_every_law_has_something_that_breaks_it() -> None:
    assert {law for law, _, _ in BREAKS} == set(LAWS)


def test_every_law_says_in_one_line_what_it_asks() -> None:
    assert all(law.__doc__ and "\n" not in law.__doc__ for law in LAWS.values())


@pytest.mark.parametrize("kind", Honest.kinds)
def test_an_honest_blueprint_passes_and_the_random_state_stays(kind: Kind) -> None:
    state = torch.get_rng_state()
    check(recipe_of(Honest), kind, width=5)
    assert torch.equal(torch.get_rng_state(), state)


def test_check_stops_at_the_first_broken_law() -> None:
    with pytest.raises(ContractBroken, match="kinds"):
        check(recipe_of(Honest), "map")


def test_options_that_the_blueprint_refuses_break_the_contract_in_one_line() -> None:
    with pytest.raises(ContractBroken, match=r"raised TypeError: .*depth"):
        LAWS["shape"](Recipe("odd", f"{__name__}.Honest", {"depth": 3}), site_of("vector"))
