"""What ``hydra.sweeper`` says of a search, checked before anything starts."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from kasmina.faults import ConfigFaults
from kasmina.suggest import unknown

RANDOM, BAYES = METHODS = ("random", "bayes")
PRUNERS = {
    "asha": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "median": "MedianPruner",
}
"""Names, and the classes of ``optuna.pruners``."""

_KEY = "hydra.sweeper"


@dataclass(frozen=True)
class Options:
    """How to search; ``conf/hydra/sweeper/search.yaml`` says what each means."""

    method: str
    trials: int
    seed: int
    batch: int | None
    n_startup_trials: int
    storage: str | None
    study_name: str | None
    pruner: str | None
    pruner_options: Mapping[str, Any]

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Options":
        """From the sweeper's config.

        Raises:
            ConfigFaults: it has a key that is no option.
        """
        known = [each.name for each in fields(cls)]
        faults = [f"{_KEY}: {unknown('option', key, known)}" for key in plain if key not in known]
        if faults:
            raise ConfigFaults(*faults)
        return cls(**plain)

    @property
    def has_study(self) -> bool:
        """Whether Optuna keeps what is known of the trials."""
        return self.method == BAYES or any((self.storage, self.study_name, self.pruner))

    def check(self) -> None:
        """Nothing, where all can be used.

        Raises:
            ConfigFaults: a line for each mistake.
        """
        faults = list(self._faults())
        if self.has_study and find_spec("optuna") is None:
            why = "method=bayes" if self.method == BAYES else "a study"
            faults.append(f"{_KEY}: {why} needs Optuna: pip install 'kasmina[optuna]'")
        elif self.pruner in PRUNERS and isinstance(self.pruner_options, Mapping):
            faults += self._pruner_faults()
        if faults:
            raise ConfigFaults(*faults)

    def _faults(self) -> Iterator[str]:
        if self.method not in METHODS:
            yield f"{_KEY}.method: {unknown('method', str(self.method), METHODS)}"
        for name, least in (("trials", 1), ("seed", 0), ("batch", 1), ("n_startup_trials", 0)):
            value = getattr(self, name)
            if name == "batch" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                yield f"{_KEY}.{name}: is a whole number from {least} on, not {value!r}"
        if self.pruner is not None and self.pruner not in PRUNERS:
            yield f"{_KEY}.pruner: {unknown('pruner', str(self.pruner), [*PRUNERS, 'null'])}"
        if not isinstance(self.pruner_options, Mapping):
            yield f"{_KEY}.pruner_options: maps names to values, not {self.pruner_options!r}"
        elif self.pruner is None and self.pruner_options:
            yield f"{_KEY}.pruner_options: are of no use without {_KEY}.pruner"

    def _pruner_faults(self) -> Iterator[str]:
        known = inspect.signature(_pruner_class(str(self.pruner))).parameters
        wrong = [name for name in self.pruner_options if name not in known]
        for name in wrong:
            yield f"{_KEY}.pruner_options: {unknown('option', str(name), known)}"
        if not wrong:
            try:
                make_pruner(self.pruner, self.pruner_options)
            except (TypeError, ValueError) as error:
                yield f"{_KEY}.pruner_options: {error}"


def _pruner_class(name: str) -> Any:
    import optuna

    return getattr(optuna.pruners, PRUNERS[name])


def make_pruner(name: str | None, options: Mapping[str, Any]) -> Any:
    """One of ``optuna.pruners``; without a name, the one that stops nothing."""
    import optuna

    return _pruner_class(name)(**options) if name else optuna.pruners.NopPruner()
