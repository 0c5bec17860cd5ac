"""The contract, held against every registered blueprint and against one that a user wrote."""

import inspect
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from kasmina.blueprints.attention import Attention
from kasmina.contract import LAWS, site_of
from kasmina.recipe import Recipe
from kasmina.site import Kind, Site

REGISTERED = Path(__file__).parents[1] / "conf" / "blueprint"


class UsersSeed(nn.Module):
    """What a user might write: no base class, a GroupNorm of torch's at its mouth."""

    kinds: ClassVar[tuple[Kind, ...]] = ("map",)

    def __init__(self, site: Site, *, hidden: int = 8) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, site.width)
        self.up = nn.Conv2d(site.width, hidden, 1)
        self.down = nn.Conv2d(hidden, site.width, 1)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.down(torch.tanh(self.up(self.norm(h))))


def label(value: Any) -> str:
    return getattr(value, "name", value)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def registered(name: str) -> Recipe:
    config: Any = OmegaConf.merge(
        {"attention": {"backend": "auto"}},
        {"blueprint": OmegaConf.load(REGISTERED / f"{name}.yaml")},
    )
    return Recipe.of(name, OmegaConf.to_container(config.blueprint, resolve=True))


YAMLS = sorted(REGISTERED.glob("*.yaml"))
RECIPES = [
    *(registered(path.stem) for path in YAMLS),
    Recipe("users", f"{__name__}.UsersSeed", {"hidden": 6}),
]
FITTING = [(recipe, kind) for recipe in RECIPES for kind in recipe.locate().kinds]


@pytest.mark.parametrize(
    ("law", "recipe", "kind"),
    [(law, *fitting) for law, fitting in product(LAWS, FITTING)],
    ids=label,
)
def test_every_blueprint_keeps_every_law(law: str, recipe: Recipe, kind: Kind) -> None:
    LAWS[law](recipe, site_of(kind))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("recipe", "kind"), FITTING, ids=label)
def test_a_newborn_is_silent_bit_for_bit(recipe: Recipe, kind: Kind, dtype: torch.dtype) -> None:
    site = site_of(kind)
    h = torch.randn(4, *site.shape).to(dtype)
    assert torch.equal(recipe.build(site).to(dtype)(h), h)


@pytest.mark.parametrize("width", [1, 2, 7, 48])
@pytest.mark.parametrize(("recipe", "kind"), FITTING, ids=label)
def test_blueprints_fit_odd_widths(recipe: Recipe, kind: Kind, width: int) -> None:
    LAWS["identity"](recipe, site_of(kind, width))


@pytest.mark.parametrize(("recipe", "kind"), FITTING, ids=label)
def test_one_sample_of_one_pixel_or_token_passes(recipe: Recipe, kind: Kind) -> None:
    shape = {"map": (16, 1, 1), "sequence": (1, 16), "vector": (16,)}[kind]
    h = torch.randn(1, *shape)
    assert torch.equal(recipe.build(Site("here", kind, 16, shape))(h), h)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_a_config_names_its_package_and_every_option(path: Path) -> None:
    assert path.read_text().startswith(f"# @package blueprint.{path.stem}\n_target_: ")
    recipe = registered(path.stem)
    options = {
        name
        for name, parameter in inspect.signature(recipe.locate()).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert set(recipe.options) == options


def test_the_convolutions_differ_in_size_only() -> None:
    small, light, heavy = (registered(f"conv_{size}") for size in ("small", "light", "heavy"))
    assert small.target == light.target == heavy.target
    sizes = [count(recipe.build(site_of("map"))) for recipe in (small, light, heavy)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("width", "heads"), [(16, 1), (32, 1), (64, 2), (96, 3), (100, 2), (128, 4), (768, 24)]
)
def test_heads_left_open_have_32_features_or_more(width: int, heads: int) -> None:
    assert Attention(site_of("sequence", width)).attention.num_heads == heads


def test_a_causal_attention_seed_does_not_look_ahead() -> None:
    h = torch.randn(2, 9, 16)
    changed = h.clone()
    changed[:, 5:] += torch.randn(16)
    for causal in (True, False):
        seed = Attention(site_of("sequence"), causal=causal)
        nn.init.normal_(seed.attention.proj.weight)
        assert torch.equal(seed(h)[:, :5], seed(changed)[:, :5]) == causal


@pytest.mark.parametrize(
    ("name", "kind", "options", "says"),
    [
        ("norm", "map", {"num_groups": 3}, "3 groups do not divide 16 channels"),
        ("norm", "map", {"num_groups": 0}, "0 groups do not divide 16 channels"),
        ("se", "map", {"ratio": 0.0}, "ratio is above 0, not 0.0"),
        ("bottleneck", "map", {"ratio": -1.0}, "ratio is above 0, not -1.0"),
        ("bottleneck", "map", {"kernel_size": 2}, "kernel_size is odd and at least 1, not 2"),
        ("depthwise", "map", {"kernel_size": -1}, "kernel_size is odd and at least 1, not -1"),
        ("conv_light", "map", {"layers": 0}, "at least 1 hidden layer, not 0"),
        ("conv_light", "map", {"kernel_size": 4}, "kernel_size is odd and at least 1, not 4"),
        ("lora", "vector", {"rank": 0}, "rank of at least 1, not 0"),
        ("lora", "vector", {"scale": 0.0}, "scale is above 0, not 0.0"),
        ("mlp", "vector", {"ratio": float("nan")}, "ratio is above 0, not nan"),
        ("attention", "sequence", {"num_heads": 3}, "3 heads do not divide a width of 16"),
        ("attention", "sequence", {"backend": "fast"}, "unknown attention backend 'fast'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    name: str, kind: Kind, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        registered(name).build(site_of(kind), **options)
    assert "\n" not in str(refusal.value)
