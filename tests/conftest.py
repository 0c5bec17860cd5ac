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


LONG = "KASMINA_LONG"
"""An environment variable: with it the tests run that are left out to stay below ten minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not os.environ.get(LONG):
            item.add_marker(pytest.mark.skip(reason=f"takes long; set {LONG}=1 to run it"))
