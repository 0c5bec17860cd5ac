import importlib.util

import pytest

from kasmina.faults import ConfigFaults
from kasmina.search import options
from kasmina.search.options import Options, make_pruner

SOUND = {
    **{"method": "bayes", "trials": 3, "seed": 1, "batch": None, "n_startup_trials": 1},
    **{"storage": None, "study_name": None, "pruner": None, "pruner_options": {}},
}


def of(**changed: object) -> Options:
    return Options(**{**SOUND, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"method": "bayse"}, "method: unknown method 'bayse'; did you mean 'bayes'?"),
        ({"method": None}, "method: unknown method 'None'"),
        ({"trials": 0}, "trials: is a whole number from 1 on, not 0"),
        ({"trials": True}, "trials: is a whole number from 1 on, not True"),
        ({"seed": None}, "seed: is a whole number from 0 on, not None"),
        ({"batch": 0}, "batch: is a whole number from 1 on, not 0"),
        ({"n_startup_trials": -1}, "n_startup_trials: is a whole number from 0 on, not -1"),
        ({"pruner": "medina"}, "pruner: unknown pruner 'medina'; did you mean 'median'?"),
        ({"pruner_options": {"a": 1}}, "pruner_options: are of no use without"),
        ({"pruner": "median", "pruner_options": 3}, "pruner_options: maps names to values"),
        (
            {"pruner": "median", "pruner_options": {"n_warmup_step": 1}},
            "pruner_options: unknown option 'n_warmup_step'; did you mean 'n_warmup_steps'?",
        ),
        (
            {"pruner": "asha", "pruner_options": {"reduction_factor": 1}},
            "must be `reduction_factor >= 2`",
        ),
    ],
)
def test_a_wrong_option_is_said_before_anything_starts(changed, fault):
    with pytest.raises(ConfigFaults) as error:
        of(**changed).check()
    (line,) = error.value.lines
    assert line.startswith("hydra.sweeper.")
    assert fault in line


def test_a_key_that_is_no_option_is_refused():
    with pytest.raises(ConfigFaults, match="unknown option 'trails'; did you mean 'trials'"):
        Options.of({**SOUND, "trails": 3})


def test_all_faults_are_said_at_once():
    with pytest.raises(ConfigFaults) as error:
        of(method="x", trials=0, pruner="y").check()
    assert len(error.value.lines) == 3


@pytest.mark.parametrize("name", options.PRUNERS)
def test_every_pruner_is_there_with_its_defaults(name):
    of(pruner=name).check()
    assert type(make_pruner(name, {})).__name__ == options.PRUNERS[name]


@pytest.mark.parametrize(
    ("changed", "needed"),
    [
        ({}, True),
        ({"method": "random"}, False),
        ({"method": "random", "pruner": "asha"}, True),
        ({"method": "random", "storage": "sqlite:///x"}, True),
        ({"method": "random", "study_name": "x"}, True),
    ],
)
def test_optuna_is_asked_for_where_it_is_needed(changed, needed, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        options, "find_spec", lambda name: None if name == "optuna" else found(name)
    )
    if needed:
        with pytest.raises(ConfigFaults, match=r"needs Optuna: pip install 'kasmina\[optuna\]'"):
            of(**changed).check()
    else:
        of(**changed).check()
