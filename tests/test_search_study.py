"""Searches over a function instead of runs, with real studies on disk."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from kasmina import jobs
from kasmina.faults import ConfigFaults
from kasmina.hydra_api import parse
from kasmina.search import outcome, trial
from kasmina.search.options import Options
from kasmina.search.run import Place, together, with_study, without_study
from kasmina.search.space import Space
from kasmina.search.study import Asked, Trials, distribution

SPACE = ("threads=1", "a=tag(log,interval(1e-3,10))", "b=range(1,8)", "c=x,y", "d=range(0,1,0.25)")
SOUND: dict[str, Any] = {
    **{"method": "bayes", "trials": 6, "seed": 1, "batch": None, "n_startup_trials": 2},
    **{"storage": None, "study_name": None, "pruner": None, "pruner_options": {}},
}


def space(*overrides: str) -> Space:
    return Space.of(map(parse, overrides or SPACE))


def value_of(overrides: list[str]) -> float:
    """Best at a = 1, b = 4, c = x."""
    a, b, c = (parse(text).value() for text in overrides[1:4])
    return -(math.log10(a) ** 2) - (b - 4) ** 2 - (c == "y")


class Machine:
    """Runs jobs at once; dies before the ``dies``-th, and lets those in ``fails`` fail."""

    def __init__(self, folder: Path, *, dies: int = -1, fails: tuple[int, ...] = ()) -> None:
        self.folder, self.dies, self.fails = folder, dies, fails
        self.ran: list[int] = []

    def launch(self, first: int, wanted: list[list[str]]) -> list[float]:
        values = []
        for number, overrides in enumerate(wanted, start=first):
            if len(self.ran) == self.dies:
                raise KeyboardInterrupt
            self.ran.append(number)
            values.append(math.nan if number in self.fails else value_of(overrides))
        return values

    def search(self, *, resume: bool = False, **changed: Any) -> list[outcome.Ended]:
        options = Options(**{**SOUND, **changed})
        place = Place(self.folder, self.launch, lambda n, _: self.folder / str(n), None, resume)
        if not options.has_study:
            return without_study(space(), options, place)
        trials = opened(self.folder, resume=resume, **changed)
        try:
            return with_study(space(), options, place, trials)
        finally:
            trials.close()


def opened(
    folder: Path, *over: str, resume: bool = True, mode: str = "max", **changed: Any
) -> Trials:
    options = Options(**{**SOUND, **changed})
    return Trials(space(*over), options, folder=folder, name="test", mode=mode, resume=resume)


def key(ended: list[outcome.Ended]) -> list[tuple[object, ...]]:
    return [(each.job, each.state, str(each.value), dict(each.values)) for each in ended]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that nothing happened to."""
    return key(Machine(tmp_path_factory.mktemp("whole")).search())


def test_a_search_by_bayes_is_the_same_again_and_another_with_another_seed(tmp_path, whole):
    assert [job for job, *_ in whole] == list(range(6))
    assert len({values["a"] for *_, values in whole}) == 6
    assert key(Machine(tmp_path / "a").search()) == whole
    assert key(Machine(tmp_path / "b").search(seed=2)) != whole


@pytest.mark.parametrize("dies", [0, 3, 5])
def test_a_search_that_is_killed_ends_as_one_that_is_not(tmp_path, dies, whole):
    with pytest.raises(KeyboardInterrupt):
        Machine(tmp_path, dies=dies).search()
    again = Machine(tmp_path)
    assert key(again.search(resume=True)) == whole
    assert again.ran == list(range(dies, 6))


def test_a_batch_that_is_killed_is_run_again_with_the_same_values(tmp_path):
    never = Machine(tmp_path / "never").search(batch=3)
    with pytest.raises(KeyboardInterrupt):
        Machine(tmp_path / "killed", dies=4).search(batch=3)
    again = Machine(tmp_path / "killed")
    assert key(again.search(batch=3, resume=True)) == key(never)
    assert again.ran == [3, 4, 5]  # values are told when all of a batch has ended


def test_more_trials_go_on_as_if_they_had_been_asked_for_at_once(tmp_path, whole):
    Machine(tmp_path).search(trials=3)
    machine = Machine(tmp_path)
    assert key(machine.search(trials=6, resume=True)) == whole
    assert machine.ran == [3, 4, 5]


def test_a_search_that_is_done_runs_nothing(tmp_path):
    done = Machine(tmp_path).search(trials=2)
    again = Machine(tmp_path)
    assert key(again.search(trials=2, resume=True)) == key(done)
    assert again.ran == []


def test_a_folder_that_was_moved_keeps_its_search(tmp_path):
    whole = Machine(tmp_path / "a").search(trials=2)
    (tmp_path / "a").rename(tmp_path / "b")
    assert key(Machine(tmp_path / "b").search(trials=2, resume=True)) == key(whole)


def test_a_trial_that_fails_has_no_value_and_is_tried_again_with_the_same_ones(tmp_path):
    ended = Machine(tmp_path, fails=(1, 2)).search(trials=3)
    assert [each.state for each in ended] == ["finished", "failed", "failed"]
    machine = Machine(tmp_path, fails=(2,))
    again = machine.search(trials=3, resume=True)
    assert machine.ran == [1, 2]
    assert [each.state for each in again] == ["finished", "finished", "failed"]
    assert [each.values for each in again] == [each.values for each in ended]


def test_random_draws_the_same_trials_with_and_without_a_study(tmp_path):
    plain = Machine(tmp_path / "a").search(method="random")
    kept = Machine(tmp_path / "b").search(method="random", study_name="kept", trials=3)
    assert key(plain[:3]) == key(kept)
    assert not (tmp_path / "a" / "study.db").exists()
    assert key(plain[:4]) == key(Machine(tmp_path / "c").search(method="random", trials=4))


def test_multiruns_that_share_a_study_count_their_own_and_learn_from_all(tmp_path):
    shared = {"storage": f"sqlite:///{tmp_path}/shared.db", "trials": 2}
    one, two = Machine(tmp_path / "one"), Machine(tmp_path / "two")
    first, second = one.search(**shared), two.search(**shared)
    assert [each.job for each in second] == one.ran == two.ran == [0, 1]
    assert not {e.values["a"] for e in first} & {e.values["a"] for e in second}
    study = optuna.load_study(study_name="test", storage=shared["storage"])
    assert len(study.trials) == 4
    study._storage.remove_session()  # type: ignore[attr-defined]


def test_a_search_that_is_begun_in_a_used_folder_says_how_to_go_on(tmp_path):
    Machine(tmp_path).search(trials=1)
    with pytest.raises(ConfigFaults, match=r"has trials of .*go on with: kasmina -m resume="):
        Machine(tmp_path).search(trials=1)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (("threads=1", "a=interval(1,2)"), "searches a, b, c, d"),
        ((*SPACE[:3], "c=x,z", SPACE[4]), "has other values of c: "),
        ((*SPACE[:2], "b=1,2", *SPACE[3:]), "has other values of b: "),
    ],
)
def test_a_study_of_other_parameters_is_not_gone_on_with(tmp_path, changed, fault):
    Machine(tmp_path).search(trials=1)
    with pytest.raises(ConfigFaults, match=fault):
        opened(tmp_path, *changed)


def test_a_study_of_the_other_direction_is_not_gone_on_with(tmp_path):
    Machine(tmp_path).search(trials=1)
    with pytest.raises(ConfigFaults, match="does not minimize its metric"):
        opened(tmp_path, mode="min")


def test_a_wider_range_is_the_same_search(tmp_path):
    Machine(tmp_path).search(trials=2)
    trials = opened(tmp_path, SPACE[0], "a=tag(log,interval(1e-9,10))", *SPACE[2:], trials=3)
    (asked,) = trials.ask(5)
    assert (asked.job, asked.number) == (2, 2)
    trials.close()


def test_each_state_of_a_job_is_one_of_its_trial(tmp_path):
    trials = opened(tmp_path, trials=5)
    states = (jobs.FINISHED, jobs.DIVERGED, jobs.PRUNED, jobs.FAILED, jobs.INTERRUPTED)
    for asked, state in zip(trials.ask(5), states, strict=True):
        trials.tell(asked, state, 0.5)
    told = [(each.job, each.state, str(each.value)) for each in trials.ended()]
    assert told == [
        *[(0, "finished", "0.5"), (1, "finished", "0.5")],
        *[(2, "pruned", "nan"), (3, "failed", "nan")],
    ]
    assert [asked.job for asked in trials.begun()] == [3, 4]
    trials.close()


@pytest.mark.parametrize("name", space().parameters)
def test_optuna_draws_only_values_of_the_parameter(name):
    parameter = space().parameters[name]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        value = study.ask({name: distribution(parameter)}).params[name]
        assert parameter.text(value) in {"x", "y"} or (
            parameter.low <= float(parameter.text(value)) <= parameter.high
        )


def test_jobs_with_a_gap_between_them_are_launched_apart():
    asked = [Asked(job, job, {}) for job in (0, 1, 4, 6, 7)]
    assert [[each.job for each in batch] for batch in together(asked)] == [[0, 1], [4], [6, 7]]


def test_the_trial_of_a_run_is_found_from_its_folder_until_it_has_ended(tmp_path):
    trials = opened(tmp_path, pruner="median", pruner_options={"n_warmup_steps": 2})
    (asked,) = trials.ask(1)
    address = trials.address(asked)
    address.write(tmp_path / "run")
    assert trial.read(tmp_path / "run") == address
    assert trial.read(tmp_path) is None
    found = trial.running(address)
    found.report(0.25, 1)
    assert found.study.pruner._n_warmup_steps == 2
    assert trials.study.trials[0].intermediate_values == {1: 0.25}
    trials.tell(asked, jobs.PRUNED, 0.25)
    assert trial.running(address) is None
    trials.close()


def test_a_study_that_is_gone_is_said(tmp_path):
    address = trial.Address(f"sqlite:///{tmp_path}/other.db", "test", 0, "median", {})
    with pytest.raises(ValueError, match="has no such trial"):
        trial.running(address)


@pytest.mark.parametrize(("mode", "job"), [("max", 1), ("min", 0)])
def test_the_first_of_the_best_is_named_and_written(tmp_path, mode, job):
    values = {"a": 0.5, "b": 2, "c": "x", "d": 0.25}
    known = [("finished", 1.0), ("finished", 2.0), ("finished", 2.0), ("pruned", math.nan)]
    ended = [outcome.Ended(n, *each, {**values, "b": n + 1}) for n, each in enumerate(known)]
    best = outcome.best_of(ended, mode)
    said = outcome.line(ended, best, space(), "val/loss")
    assert said == (
        f"best of 4 trials (1 pruned, 0 failed): job {job}, val/loss {job + 1}: "
        f"a=0.5 b={job + 1} c=x d=0.25"
    )
    outcome.write(tmp_path, best, space())
    assert (tmp_path / outcome.RESULTS).read_text().splitlines() == [
        *("name: search", f"best_job: {job}", "best_params:", "  a: 0.5", f"  b: {job + 1}"),
        *("  c: x", "  d: 0.25", f"best_value: {job + 1}.0"),
    ]


def test_a_search_without_a_value_says_so(tmp_path):
    ended = Machine(tmp_path, fails=(0, 1)).search(trials=2)
    best = outcome.best_of(ended, "max")
    said = outcome.line(ended, best, space(), "val/loss")
    assert said == "none of 2 trials (0 pruned, 2 failed) has a value"
    outcome.write(tmp_path, best, space())
    assert "best_value: null" in (tmp_path / outcome.RESULTS).read_text()
