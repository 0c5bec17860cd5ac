"""What every test may count on."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test draws the same numbers alone and in company."""
    torch.manual_seed(0)
