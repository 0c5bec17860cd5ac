"""How a run finds the trial that it is: ``trial.json`` in its folder.

A file and no override: it changes neither what is trained nor the names of folders, and a run
that is gone on with finds it again.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kasmina.atomic import write_text
from kasmina.search.options import make_pruner

FILE = "trial.json"
_WAIT = 60  # seconds for another process that writes into the same sqlite file


@dataclass(frozen=True)
class Address:
    """Where a trial is kept, and what may stop it.

    Attributes:
        storage: URL.
        study: its name.
        number: of the trial in it.
        pruner: a name of ``options.PRUNERS``.
        pruner_options: of its class.
    """

    storage: str
    study: str
    number: int
    pruner: str
    pruner_options: Mapping[str, Any]

    def write(self, run: Path) -> None:
        """Into a run's folder."""
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / FILE, json.dumps(asdict(self), indent=2) + "\n")


def read(run: Path) -> Address | None:
    """The trial that a run is; None where it is none that may be stopped."""
    path = run / FILE
    return Address(**json.loads(path.read_text())) if path.is_file() else None


def connect(url: str) -> Any:
    """Optuna's storage at a URL.

    Raises:
        ValueError: nothing can be stored there.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    options = {"connect_args": {"timeout": _WAIT}} if url.startswith("sqlite") else None
    try:
        return optuna.storages.RDBStorage(url, engine_kwargs=options)
    except (SQLAlchemyError, ImportError) as error:
        raise ValueError(f"{url}: {str(error).splitlines()[0]}") from error


def running(address: Address) -> Any:
    """The trial at an address, to report to; None where the study holds it for ended.

    Raises:
        ValueError: it cannot be reached.
    """
    import optuna

    pruner = make_pruner(address.pruner, address.pruner_options)
    storage = connect(address.storage)
    try:
        study = optuna.load_study(study_name=address.study, storage=storage, pruner=pruner)
        found = study.get_trials(deepcopy=False)[address.number]
    except (KeyError, IndexError) as error:
        raise ValueError(f"{FILE}: {address.storage} has no such trial of a study") from error
    # the public way to a trial of another process is to ask for a new one
    return None if found.state.is_finished() else optuna.trial.Trial(study, found._trial_id)
