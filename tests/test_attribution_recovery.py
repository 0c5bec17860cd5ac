"""Ablate, recover, compare: on copies."""

import pytest
import torch
from grown import SITES, quiet, silenced, subject
from runs import same

from kasmina.attribution import recovery
from kasmina.attribution.recovery import trained
from kasmina.topology import topology


def test_the_original_stays_bit_for_bit_as_it_was() -> None:
    network = subject()
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    slots = topology(network.module.model)
    recovery(network, network.grown(), quiet, steps=3)
    assert same(dict(network.module.state_dict()), before)
    assert topology(network.module.model) == slots
    assert [slot.exact_alpha for slot in network.grown()] == [1.0, 1.0]


def test_it_is_a_function_of_the_checkpoint_alone() -> None:
    first = recovery(subject(), subject().grown(), quiet, steps=3)
    torch.rand(7)
    assert recovery(subject(), subject().grown(), quiet, steps=3) == first


def test_a_seed_that_nobody_hears_brings_exactly_nothing() -> None:
    # so both copies have seen the same batches, and have drawn the same numbers
    network = silenced(subject(), "layers.1")
    (record,) = recovery(network, network.chosen("layers.1"), quiet, steps=5)
    assert (record.value, record.low, record.high) == (0.0, 0.0, 0.0)
    assert record.method == "recovery(5)"


@pytest.mark.parametrize("site", SITES)
def test_the_host_moves_and_the_seed_is_gone(site: str) -> None:
    network = subject()
    copy = trained(network, [site], steps=2)
    assert copy.model.slot(site).seed is None
    assert not any(name.startswith(f"model.slots.{site}") for name in copy.state_dict())
    kept, moved = network.module.model.host.state_dict(), copy.model.host.state_dict()
    assert any(not torch.equal(kept[name], moved[name]) for name in kept)


def test_it_costs_two_recoveries_and_two_evaluations() -> None:
    network = subject()
    (record,) = recovery(network, network.chosen("layers.0"), quiet, steps=4)
    cost = network.price
    assert record.flops == 2 * (4 * 16 * cost.main + 32 * cost.evaluation)


def test_no_step_is_no_recovery() -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        recovery(subject(), subject().grown(), quiet, steps=0)
