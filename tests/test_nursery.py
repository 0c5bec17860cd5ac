"""Germination."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import toys
from torch import nn
from toys import (
    HalfFrozen,
    Mlp,
    Named,
    Noisy,
    Plain,
    grafted,
    grow,
    images,
    operator,
    recipe,
    same,
)

from kasmina.graft import Grafted, graft
from kasmina.nursery import build_seed, germinate, in_channels_last, like_host, plant, sizes
from kasmina.recipe import Recipe
from kasmina.site import Site
from kasmina.stage import IllegalMove, Stage

CONV = Recipe("conv", "kasmina.blueprints.conv.Conv", {"ratio": 1.0})


def born(
    model: Grafted,
    site: str = "blocks.0",
    *,
    blueprint: Recipe | None = None,
    blend: str = "Gate",
    run_seed: int = 0,
) -> dict[str, torch.Tensor]:
    """The weights of a newborn."""
    made = blueprint or recipe(Noisy)
    options: dict[str, Any] = {"blueprint": made, "operator": operator(blend)}
    slot = germinate(model, site, **options, run_seed=run_seed)
    return dict(slot.state_dict())


DISTURBANCES: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "draws": lambda: torch.randn(7),
    "seeding": lambda: torch.manual_seed(99),
    "a forward": lambda: grafted()(images()),
    "another germination": lambda: born(grafted(), "blocks.2"),
}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_newborn_is_the_same_whatever_else_has_drawn(name: str) -> None:
    first = born(grafted())
    DISTURBANCES[name]()
    assert same(born(grafted()), first)


def test_a_newborn_depends_on_run_seed_slot_and_count_of_births() -> None:
    model = grafted()
    elsewhere = [born(grafted(), site) for site in ("blocks.0", "blocks.1")]
    later = grafted()
    later.slot("blocks.0").births = 1
    others = [elsewhere[1], born(model, run_seed=1), born(later)]
    assert not any(same(elsewhere[0], other) for other in others)


def test_births_are_counted_and_the_second_seed_is_another() -> None:
    model = grafted()
    slot = grow(model, "blocks.0", Stage.EMBARGOED)
    slot.restore(Stage.DORMANT, age=0, births=slot.births)
    second = born(model, blueprint=recipe(Plain), blend="Add")
    assert slot.births == 2
    assert not same(second, born(grafted(), blueprint=recipe(Plain), blend="Add"))


def test_a_birth_moves_no_global_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cuda", "xpu", "mps"):
        reseeded = "manual_seed" if device == "mps" else "manual_seed_all"
        monkeypatch.setattr(getattr(torch, device), reseeded, lambda _: pytest.fail("reseeded"))
    model, before = grafted(), torch.get_rng_state()
    born(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_birth_does_not_follow_the_default_device() -> None:
    first = born(grafted())
    model = grafted()
    with torch.device("meta"):
        assert same(born(model), first)


def test_a_birth_changes_nothing_of_the_host_or_of_other_slots() -> None:
    model, x = grafted().eval(), images()
    grow(model, "blocks.1", Stage.BLENDING, alpha=0.5)
    before, state = model(x), copy.deepcopy(model.state_dict())
    born(model)
    assert torch.equal(model(x), before)
    assert same({k: v for k, v in model.state_dict().items() if k in state}, state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_newborn_takes_the_dtype_of_the_host(dtype: torch.dtype) -> None:
    model = grafted().to(dtype)
    assert {v.dtype for v in born(model).values()} == {dtype, torch.int64}  # counts of BatchNorm


def test_a_newborn_takes_the_device_of_the_host() -> None:
    seed = build_seed(Site.of("x", (2, 4)), blueprint=recipe(Plain), operator=operator("Gate"))
    host = nn.Linear(4, 4, device="meta")
    assert {p.device.type for p in like_host(seed, host).parameters()} == {"meta"}


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize(
    ("memory_format", "expected"),
    [(torch.contiguous_format, False), (torch.channels_last, True)],
)
def test_the_hosts_memory_format_is_read_off_its_strides(
    in_channels: int, memory_format: torch.memory_format, expected: bool
) -> None:
    host = nn.Conv2d(in_channels, 4, 3).to(memory_format=memory_format)  # type: ignore[call-overload]
    assert in_channels_last(host) is expected


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_newborn_takes_the_memory_format_of_the_host(memory_format: torch.memory_format) -> None:
    host = toys.Cnn()
    host.to(memory_format=memory_format)  # type: ignore[call-overload]
    weights = [v for v in born(grafted(host), blueprint=CONV).values() if v.dim() == 4]
    other = {torch.contiguous_format: torch.channels_last}.get(
        memory_format, torch.contiguous_format
    )
    assert weights
    assert all(weight.is_contiguous(memory_format=memory_format) for weight in weights)
    assert not all(weight.is_contiguous(memory_format=other) for weight in weights)


@pytest.mark.parametrize("training", [True, False])
def test_a_newborn_takes_the_mode_of_the_host(training: bool) -> None:
    model = grafted().train(training)
    born(model)
    assert {module.training for module in model.slot("blocks.0").modules()} == {training}


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.DORMANT])
def test_only_a_dormant_slot_takes_a_newborn(stage: Stage) -> None:
    model = grafted()
    slot = grow(model, "blocks.0", stage)
    seed, before = slot.seed, torch.get_rng_state()
    with pytest.raises(IllegalMove, match=f"cannot germinate while {stage}"):
        born(model)
    assert (slot.seed, slot.stage, slot.births) == (seed, stage, 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("blueprint", "error", "said"),
    [
        (
            recipe(Noisy),
            ValueError,
            "blueprint 'noisy' transforms map; slot 'first' passes a vector",
        ),
        (recipe(Plain, rank=3), TypeError, "rank"),
        (Recipe("gone", "toys.Gone"), ImportError, "'toys' has no 'Gone'"),
    ],
)
def test_a_blueprint_that_does_not_fit_leaves_the_slot_dormant(
    blueprint: Recipe, error: type[Exception], said: str
) -> None:
    model, before = graft(Mlp(), ["first"], torch.randn(2, 5)), torch.get_rng_state()
    with pytest.raises(error, match=said):
        born(model, "first", blueprint=blueprint)
    slot = model.slot("first")
    assert (slot.seed, slot.stage, slot.births) == (None, Stage.DORMANT, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_are_those_of_the_seeds_that_fit_and_cost_no_memory() -> None:
    site, before = Site.of("here", (2, 6)), torch.get_rng_state()
    blueprints = {"plain": recipe(Plain), "noisy": recipe(Noisy), "named": recipe(Named, name="n")}
    counted = sizes(site, blueprints, operator("Gate"))
    assert counted == {"plain": 6 * 6 + 6 + 7, "named": 6 * 6 + 6 + 7}
    assert list(counted) == ["plain", "named"]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_counts_its_parameters_frozen_ones_too() -> None:
    seed = build_seed(Site.of("x", (2, 4)), blueprint=recipe(HalfFrozen), operator=operator("Gate"))
    assert seed.num_parameters == 4 * 4 + 4 + 4 + 1


def test_planted_seeds_are_fossils_from_the_start() -> None:
    model, x = grafted().eval(), images()
    before = model(x)
    plant(model, {"blocks.1": recipe(Plain)}, operator=operator(), run_seed=0)
    slot = model.slot("blocks.1")
    assert (slot.stage, slot.exact_alpha) == (Stage.FOSSILIZED, 1.0)
    assert not torch.equal(model(x), before)
    assert all(parameter.requires_grad for parameter in slot.parameters())
    assert [s.stage for s in model] == [Stage.DORMANT, Stage.FOSSILIZED, Stage.DORMANT]
