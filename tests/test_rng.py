"""Random streams."""

import subprocess
import sys

import pytest
import torch

from kasmina.rng import derive, undisturbed

CPU = torch.device("cpu")


def test_a_derived_seed_is_the_same_in_every_process() -> None:
    code = "from kasmina.rng import derive; print(derive(0, 'stages.0', 0))"
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    # printf 0/stages.0/0 | sha256sum: the first 16 digits, read as a number and halved
    assert derive(0, "stages.0", 0) == int(there.stdout) == GOLDEN


GOLDEN = 2693516491716574546


def test_derived_seeds_differ_and_torch_takes_them() -> None:
    seeds = {derive(run, site, birth) for run in range(3) for site in "ab" for birth in range(3)}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.Generator().manual_seed(max(seeds))


def test_what_is_drawn_inside_is_not_missing_outside() -> None:
    before = torch.get_rng_state()
    with undisturbed(CPU):
        inside = torch.rand(5)
        torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.rand(5), inside)


def test_an_error_inside_leaves_the_state_as_it_was() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="could not convert"), undisturbed(CPU):
        float(f"drawn: {torch.rand(5)}")
    assert torch.equal(torch.get_rng_state(), before)
