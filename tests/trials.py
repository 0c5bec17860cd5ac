"""Trials of a study on disk, for runs that a search may prune."""

from pathlib import Path
from typing import Any

import optuna

from kasmina.search.trial import Address, connect

AT_ONCE = ("asha", {"min_resource": 1, "bootstrap_count": 1})
"""A pruner that stops whoever reports first."""
NEVER = ("median", {"n_startup_trials": 99})


def hand_to(run: Path, pruner: tuple[str, dict[str, Any]]) -> Address:
    """Make a run the first trial of a new study beside its folder."""
    run.parent.mkdir(parents=True, exist_ok=True)
    address = Address(f"sqlite:///{run.parent / 'study.db'}", "test", 0, *pruner)
    storage = connect(address.storage)
    optuna.create_study(storage=storage, study_name="test", direction="maximize").ask()
    storage.remove_session()
    storage.engine.dispose()
    address.write(run)
    return address


def stored(address: Address) -> optuna.trial.FrozenTrial:
    """What the study holds of it."""
    storage = connect(address.storage)
    (trial,) = optuna.load_study(study_name=address.study, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return trial
