"""Groups by name, and learning rates by each group's own age."""

import math
from itertools import product

import pytest
import torch
from runs import same
from torch import nn

from kasmina.graft import Grafted, graft
from kasmina.hosts.mlp import MLP
from kasmina.nursery import germinate
from kasmina.optim import (
    SHAPES,
    Curve,
    GroupScheduler,
    SeedOptions,
    add_group,
    drop_group,
    group_names,
    make_optimizer,
)
from kasmina.recipe import Recipe

SEED = Recipe("mlp", "kasmina.blueprints.mlp.MLP")
ADD = Recipe("add", "kasmina.blend.Add")
ADAMW = Recipe("optimizer", "torch.optim.AdamW", {"lr": 0.1, "weight_decay": 0.01})
SITES = ["layers.0", "layers.1"]


def network(*grown: str) -> Grafted:
    """A perceptron with slots at SITES, a seed in each of ``grown``."""
    torch.manual_seed(0)
    host = MLP(in_features=6, num_classes=3, widths=[4, 4])
    model = graft(host, SITES, torch.randn(2, 6))
    for name in grown:
        grow(model, name)
    return model


def grow(model: Grafted, name: str) -> nn.Module:
    return germinate(model, name, blueprint=SEED, operator=ADD, run_seed=0)


def train(model: Grafted, optimizer: torch.optim.Optimizer, scheduler: GroupScheduler) -> None:
    """One step in which every parameter has a gradient."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scheduler.step()


def test_each_group_is_found_by_name_and_holds_its_parameters() -> None:
    model = network("layers.1")
    optimizer = make_optimizer(model, ADAMW, SeedOptions())
    assert group_names(optimizer) == ["host", "layers.1"]
    host, seed = optimizer.param_groups
    assert list(map(id, host["params"])) == list(map(id, model.host.parameters()))
    assert list(map(id, seed["params"])) == list(map(id, model.slot("layers.1").parameters()))


@pytest.mark.parametrize(("lr", "decay"), list(product([None, 0.5], [None, 0.3])))
def test_a_seed_has_its_own_options_and_takes_the_hosts_for_the_rest(
    lr: float | None, decay: float | None
) -> None:
    model, seeds = network("layers.0"), SeedOptions(lr, decay)
    optimizer = make_optimizer(model, ADAMW, seeds)
    grow(model, "layers.1")
    add_group(optimizer, None, name="layers.1", seed=model.slot("layers.1"), own=seeds.own())
    host, *seeds_ = optimizer.param_groups
    assert (host["lr"], host["weight_decay"]) == (0.1, 0.01)
    for group in seeds_:
        assert group["lr"] == (0.1 if lr is None else lr)
        assert group["weight_decay"] == (0.01 if decay is None else decay)


def test_the_order_of_a_checkpoint_wins_over_that_of_the_model() -> None:
    model = network(*SITES)
    order = ["layers.1", "host", "layers.0"]
    optimizer = make_optimizer(model, ADAMW, SeedOptions(), order)
    assert group_names(optimizer) == order
    first = next(model.slot("layers.1").parameters())
    assert optimizer.param_groups[0]["params"][0] is first


def test_a_dropped_group_leaves_no_state_and_no_gradient_and_touches_no_other() -> None:
    model = network("layers.0")
    optimizer = make_optimizer(model, ADAMW, SeedOptions())
    scheduler = GroupScheduler(optimizer, Curve(), total_steps=10)
    grow(model, "layers.1").requires_grad_()
    add_group(optimizer, scheduler, name="layers.1", seed=model.slot("layers.1"), own={})
    train(model, optimizer, scheduler)
    gone = list(model.slot("layers.0").parameters())
    kept = {p: optimizer.state[p] for p in model.parameters() if not any(p is g for g in gone)}
    drop_group(optimizer, "layers.0")
    assert group_names(optimizer) == ["host", "layers.1"]
    assert set(optimizer.state) == set(kept)
    assert all(optimizer.state[p] is state for p, state in kept.items())
    assert all(p.grad is None for p in gone)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_curve_starts_at_one_and_ends_where_its_shape_says(shape: str) -> None:
    curve = Curve(shape)
    assert curve.at(0, 10) == 1
    assert curve.at(10, 10) == curve.at(11, 10) == (1 if shape == "constant" else 0)


@pytest.mark.parametrize(("shape", "floor"), list(product(SHAPES, [0.0, 0.25, 1.0])))
def test_a_curve_falls_and_never_below_its_floor(shape: str, floor: float) -> None:
    values = [Curve(shape, floor=floor).at(step, 20) for step in range(25)]
    assert values == sorted(values, reverse=True)
    assert min(values) >= floor
    assert values[-1] == (1 if shape == "constant" else floor)


def test_the_warm_up_rises_in_equal_steps_before_the_curve() -> None:
    curve = Curve("linear", warmup_steps=3)
    rates = [curve.at(step, 7) for step in range(8)]
    assert rates == [1 / 4, 2 / 4, 3 / 4, 1, 3 / 4, 2 / 4, 1 / 4, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "cosin"}, "did you mean 'cosine'"),
        ({"warmup_steps": -1}, "warmup_steps is at least 0"),
        ({"floor": 1.5}, r"floor lies in \[0, 1\]"),
    ],
)
def test_a_wrong_curve_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curve(**options)  # type: ignore[arg-type]


def test_a_newborn_warms_up_at_its_own_age_and_the_host_does_not_feel_it() -> None:
    curve = Curve("cosine", warmup_steps=4)
    alone = make_optimizer(network(), ADAMW, SeedOptions())
    alone_scheduler = GroupScheduler(alone, curve, total_steps=20)
    model = network()
    optimizer = make_optimizer(model, ADAMW, SeedOptions())
    scheduler = GroupScheduler(optimizer, curve, total_steps=20)
    for step in range(20):
        if step == 7:
            seed = grow(model, "layers.0")
            add_group(optimizer, scheduler, name="layers.0", seed=seed, own={"lr": 0.5})
        host = optimizer.param_groups[0]["lr"]
        assert host == alone.param_groups[0]["lr"] == 0.1 * curve.at(step, 20)
        if step >= 7:
            assert optimizer.param_groups[1]["lr"] == 0.5 * curve.at(step - 7, 20 - 7)
        for each in (alone, optimizer):
            each.step()
        alone_scheduler.step()
        scheduler.step()


def test_where_the_limit_on_flops_comes_first_the_rate_follows_it() -> None:
    curve, share = Curve("linear"), 0.5
    model = network()
    optimizer = make_optimizer(model, ADAMW, SeedOptions())
    scheduler = GroupScheduler(optimizer, curve, total_steps=20, spent=lambda: share)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5)
    add_group(optimizer, scheduler, name="layers.0", seed=grow(model, "layers.0"), own={"lr": 0.5})
    assert optimizer.param_groups[1]["lr"] == 0.5
    share = 0.75
    assert scheduler.get_lr() == pytest.approx([0.1 * 0.25, 0.5 * 0.5])
    share = 1.0
    assert scheduler.get_lr() == [0.0, 0.0]


def test_rates_and_state_go_on_after_a_resume_as_if_nothing_had_happened() -> None:
    curve = Curve("cosine", warmup_steps=2)
    model = network("layers.0")
    optimizer = make_optimizer(model, ADAMW, SeedOptions(lr=0.3))
    scheduler = GroupScheduler(optimizer, curve, total_steps=20)
    for step in range(6):
        if step == 3:
            seed = grow(model, "layers.1").requires_grad_()
            add_group(optimizer, scheduler, name="layers.1", seed=seed, own={"lr": 0.3})
            drop_group(optimizer, "layers.0")
        train(model, optimizer, scheduler)

    order = group_names(optimizer)
    resumed = make_optimizer(model, ADAMW, SeedOptions(lr=0.3), order)
    again = GroupScheduler(resumed, curve, total_steps=20)
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    for _ in range(6):
        assert [g["lr"] for g in resumed.param_groups] == again.get_last_lr()
        assert same(resumed.state_dict()["param_groups"], optimizer.state_dict()["param_groups"])
        for each in (optimizer, resumed):
            each.step()
        scheduler.step()
        again.step()


def test_a_falling_rate_needs_a_run_that_ends_and_a_constant_one_does_not() -> None:
    model = network()
    optimizer = make_optimizer(model, ADAMW, SeedOptions())
    with pytest.raises(ValueError, match=r"possible: trainer\.max_epochs, trainer\.max_steps"):
        GroupScheduler(optimizer, Curve("cosine"), total_steps=math.inf)
    for share in (0.0, 0.5, 1.0):  # of a limit on FLOPs
        falling = GroupScheduler(
            make_optimizer(model, ADAMW, SeedOptions()),
            Curve("linear"),
            total_steps=math.inf,
            spent=lambda share=share: share,
        )
        assert falling.get_last_lr() == [pytest.approx(0.1 * (1 - share))]
    endless = GroupScheduler(optimizer, Curve("constant"), total_steps=math.inf)
    assert endless.get_last_lr() == [0.1]
