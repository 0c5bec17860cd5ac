"""What every test may count on."""

import os

import pytest
import torch

os.environ["OMP_NUM_THREADS"] = "1"  # the processes that a test starts share the cores as well
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test draws the same numbers alone and in company."""
    torch.manual_seed(0)
