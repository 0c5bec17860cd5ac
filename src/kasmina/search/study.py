"""The trials of one multirun in a study of Optuna's, each with the number of its job.

Several multiruns may share a study: all learn from all trials, and each counts its own.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kasmina import jobs
from kasmina.faults import ConfigFaults
from kasmina.search.options import BAYES, Options, make_pruner
from kasmina.search.outcome import Ended
from kasmina.search.space import Choices, Parameter, Space, Values, Whole
from kasmina.search.trial import Address, connect

DATABASE = "study.db"
"""In a multirun's folder, unless another storage is named."""

_JOB, _OWNER = "job", "multirun"
_DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
_STATES = {
    TrialState.COMPLETE: jobs.FINISHED,
    TrialState.PRUNED: jobs.PRUNED,
    TrialState.FAIL: jobs.FAILED,
}


@dataclass(frozen=True)
class Asked:
    """A trial that is to be run: its job, its number in the study, and its values."""

    job: int
    number: int
    values: Values


class Trials:
    """What is known of the trials, and what comes next.

    Args:
        space: that they are from.
        options: of the search.
        folder: of the multirun.
        name: of the study, where the options have none.
        mode: ``max`` or ``min`` of the metric.
        resume: go on with what the multirun has had.

    Raises:
        ConfigFaults: the storage cannot be used, or holds something else.
    """

    def __init__(
        self, space: Space, options: Options, *, folder: Path, name: str, mode: str, resume: bool
    ) -> None:
        self.space, self.options = space, options
        self.distributions = {key: distribution(p) for key, p in space.parameters.items()}
        self.url = options.storage or f"sqlite:///{folder / DATABASE}"
        self.owner = str(folder) if options.storage else ""  # a folder with its study may be moved
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.storage = connect(self.url)
        except ValueError as error:
            raise ConfigFaults(f"hydra.sweeper.storage: {error}") from error
        self.study = optuna.create_study(
            storage=self.storage,
            study_name=options.study_name or name,
            direction=_DIRECTIONS[mode],
            pruner=make_pruner(options.pruner, options.pruner_options),
            load_if_exists=True,
        )
        self._check(_DIRECTIONS[mode])
        if not resume and self._known():
            raise ConfigFaults(
                f"hydra/sweeper=search: {self.url} has trials of {folder}; go on with: "
                f"kasmina -m resume='{folder}'"
            )

    def _check(self, direction: StudyDirection) -> None:
        named = f"hydra.sweeper: the study {self.study.study_name!r} of {self.url}"
        if self.study.direction != direction:
            raise ConfigFaults(f"{named} does not {direction.name.lower()} its metric")
        faults: dict[str, None] = {}
        for trial in self.study.get_trials(deepcopy=False):
            names = sorted(trial.params)
            if self._is_mine(trial) and names != sorted(self.distributions):
                faults[f"{named} searches {', '.join(names)}"] = None
            for key in self.distributions.keys() & trial.distributions:
                if not _fits(self.distributions[key], trial.distributions[key]):
                    faults[f"{named} has other values of {key}: {trial.distributions[key]}"] = None
        if faults:
            raise ConfigFaults(*faults)

    def _is_mine(self, trial: FrozenTrial) -> bool:
        return _JOB in trial.user_attrs and trial.user_attrs.get(_OWNER) == self.owner

    def _known(self) -> dict[int, FrozenTrial]:
        """By job; the last trial of a job that was tried again counts."""
        mine = filter(self._is_mine, self.study.get_trials(deepcopy=False))
        return {trial.user_attrs[_JOB]: trial for trial in mine}

    def ended(self) -> list[Ended]:
        """The trials that have ended, by job."""
        return [
            Ended(job, _STATES[trial.state], _value(trial), trial.params)
            for job, trial in sorted(self._known().items())
            if trial.state in _STATES
        ]

    def begun(self) -> list[Asked]:
        """Trials to go on with: those that were running, and those that have failed, once more."""
        for trial in self._known().values():
            if trial.state == TrialState.FAIL:
                self.study.add_trial(_again(trial))
        known = sorted(self._known().items())
        running = [(job, trial) for job, trial in known if trial.state == TrialState.RUNNING]
        return [Asked(job, trial.number, trial.params) for job, trial in running]

    def ask(self, most: int) -> list[Asked]:
        """New trials, at most that many, until the search has all of its own."""
        first = len(self._known())
        return [self._ask(job) for job in range(first, min(first + most, self.options.trials))]

    def _ask(self, job: int) -> Asked:
        self.study.sampler = self._sampler()
        trial = self.study.ask(self.distributions)
        trial.set_user_attr(_OWNER, self.owner)
        trial.set_user_attr(_JOB, job)
        return Asked(job, trial.number, trial.params)

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """Of the next trial alone: a search that was killed chooses as one that was not."""
        options, number = self.options, len(self.study.get_trials(deepcopy=False))
        if options.method != BAYES:
            return Drawn(self.space, options.seed)
        seed = int(np.random.SeedSequence([options.seed, number]).generate_state(1)[0])
        return optuna.samplers.TPESampler(n_startup_trials=options.n_startup_trials, seed=seed)

    def tell(self, asked: Asked, state: str, value: float) -> None:
        """How a trial has ended; one that was interrupted has not."""
        if state == jobs.PRUNED:
            self.study.tell(asked.number, state=TrialState.PRUNED)
        elif state in jobs.DONE and math.isfinite(value):
            self.study.tell(asked.number, value)
        elif state != jobs.INTERRUPTED:
            self.study.tell(asked.number, state=TrialState.FAIL)

    def address(self, asked: Asked) -> Address | None:
        """What its run has to know; None where nothing prunes."""
        options = self.options
        if options.pruner is None:
            return None
        study = self.study.study_name
        return Address(self.url, study, asked.number, options.pruner, options.pruner_options)

    def close(self) -> None:
        """Let go of the storage."""
        self.storage.remove_session()
        self.storage.engine.dispose()


class Drawn(optuna.samplers.BaseSampler):
    """Random draws that are made of a seed and the trial's number alone."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing depends on anything."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """So there is nothing to draw together."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The same number as without a study."""
        return self.space.draw(self.seed, trial.number)[param_name]


def distribution(parameter: Parameter) -> BaseDistribution:
    """What Optuna calls it."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.texts)
    kind = IntDistribution if isinstance(parameter, Whole) else FloatDistribution
    return kind(parameter.low, parameter.high, log=parameter.log, step=parameter.step)  # type: ignore[arg-type]


def _fits(one: BaseDistribution, other: BaseDistribution) -> bool:
    """A range may be changed under way, a list of choices may not: Optuna stores their places."""
    return type(one) is type(other) and (
        not isinstance(one, CategoricalDistribution) or one == other
    )


def _value(trial: FrozenTrial) -> float:
    """Of a trial that came to its end."""
    return trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else math.nan


def _again(trial: FrozenTrial) -> FrozenTrial:
    return optuna.create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
    )
