"""Two hundred wrong and odd command lines: each runs, or is refused in words and leaves nothing."""

import random
import signal
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import runs
import torch
from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.cli import OK, WRONG, main

MUTANTS, SHARDS = 200, 8
SLOWEST = 60  # seconds; a mutant takes one or two
LONGEST = 1000  # characters of a line

BASES = (runs.VECTORS, runs.TOKENS, runs.IMAGES)
CHEAP = (
    *runs.QUIET,
    *("trainer.max_epochs=1", "trainer.max_steps=2", "trainer.limit_train_batches=2"),
    *("trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
)

HUGE = "1000000000"
WHOLE = ("-1", "0", "1", "2", "3", "7", HUGE)
REAL = ("-0.5", "0", "0.5", "1.5", "1e30", "1e-30", "nan", "inf", "-inf")
OF_TYPE: dict[type, tuple[str, ...]] = {
    bool: ("true", "false"),
    int: WHOLE,
    float: (*REAL, *WHOLE),
    str: ("word", "''", "'5'", "${seed}"),
    list: ("[]", "[1,2]", "[-1]", "[0]", "[1,1,1,1]", "[word]"),
    type(None): (*WHOLE, *REAL, "word"),
}
ANY = ("null", "{}", "{a:1}", "{_target_:word}", "[null]", "${nope}", "???")
"""Values of the right type and at its ends, and those of another."""

WORK = (
    *("max_epochs", "max_steps", "devices", "num_nodes", "threads", "detect_anomaly"),
    *("size", "features", "channels", "classes", "context", "widths", "width", "depth", "blocks"),
    *("heads", "ratio", "hidden", "rank", "expansion", "groups", "kernel", "factor"),
)
"""Words in keys that say how much work is asked for: a huge number there is a right one, which
would run for days or take all memory."""

ONLY_DATA_TELL = {
    "val_check_interval": {"1e-30", "3", "7", HUGE, "1e30"},
    **{f"limit_{split}_batches": {"1e-30"} for split in ("train", "val", "test")},
    "overfit_batches": {"1e-30"},
}
"""Less than a batch, or more than there are: no rule reads data, so the run itself says so."""

ELSEWHERE = {
    *(
        "trainer=ddp",
        "trainer=ddp_sim",
        "trainer=fsdp2",
        "trainer=gpu",
    ),  # processes of their own; a GPU
    *("logger=wandb", "compile=default", "compile=max_autotune", "compile=reduce_overhead"),
}
"""Options with tests of their own, that take many seconds or reach for a network."""


@cache
def leaves(base: tuple[str, ...]) -> dict[str, Any]:
    """Every key of a config that holds no further keys, with its value."""
    values = OmegaConf.to_container(hydra_api.compose([*base, *CHEAP]))
    assert isinstance(values, dict)
    flat = dict(_flat(values, ""))
    # a class that cannot be imported is the same fault in every part: a few of them will do
    return {k: v for k, v in flat.items() if not k.startswith("callbacks.") or "_target_" not in k}


def _flat(values: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def value_for(draw: random.Random, key: str, value: Any) -> str:
    """Three times in four of the type that the value has."""
    if key in ("trainer.devices", "trainer.num_nodes"):  # several would start pytest once more
        return draw.choice(["0", "-1", "-0.5", "nan", "null", "word", "''", "{}", "[]"])
    others = draw.choice([*OF_TYPE.values(), ANY])
    values = OF_TYPE[type(value)] if draw.random() < 0.75 and type(value) in OF_TYPE else others
    last = key.rpartition(".")[2]
    asks_for_work = any(word in last for word in WORK)
    unfit = {HUGE, "1e30"} if asks_for_work else ONLY_DATA_TELL.get(last, set())
    return draw.choice([v for v in values if v not in unfit])


def odd_value(draw: random.Random, base: tuple[str, ...]) -> str:
    key, value = draw.choice(list(leaves(base).items()))
    return f"{key}={value_for(draw, key, value)}"


def misspelt_key(draw: random.Random, base: tuple[str, ...]) -> str:
    key, value = draw.choice(list(leaves(base).items()))
    place = draw.randrange(len(key))
    plus = draw.choice(["", "+"])
    return f"{plus}{key[:place] + key[place + 1 :]}={value_for(draw, key, value)}"


def other_option(draw: random.Random, base: tuple[str, ...]) -> str:
    group = draw.choice(hydra_api.groups())
    options = [o for o in hydra_api.options(group) if f"{group}={o}" not in ELSEWHERE]
    option = draw.choice([*options, *options, draw.choice(options)[1:], "null", "[]", "1"])
    return f"{group}={option}"


def missing_key(draw: random.Random, base: tuple[str, ...]) -> str:
    return f"~{draw.choice(list(leaves(base)))}"


def new_key(draw: random.Random, base: tuple[str, ...]) -> str:
    key, value = draw.choice(list(leaves(base).items()))
    return f"+{key}{draw.choice(['.more', '_2'])}={value_for(draw, key, value)}"


KINDS = (odd_value, misspelt_key, other_option, missing_key, new_key)
WEIGHTS = (24, 1, 4, 2, 1)


def mutant(seed: int) -> list[str]:
    """A valid command line with one to three mutations."""
    draw = random.Random(seed)
    base = draw.choice(BASES)
    kinds = draw.choices(KINDS, WEIGHTS, k=draw.choice([1, 1, 2, 3]))
    changes = {_key(text): text for text in (kind(draw, base) for kind in kinds)}
    kept = [text for text in (*base, *CHEAP) if _key(text) not in changes]
    return [*kept, *changes.values()]


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]


FOUND = (
    (["task=null"], "config error: task: unknown option 'null'; possible: classification"),
    (["trainer=1"], "config error: trainer: unknown option '1'; possible: "),
    (["blueprint=[null]"], "config error: blueprint: unknown option 'null'"),
    (["callbacks.best.dirpath=[0]"], "callbacks.best: expected str, bytes or os.PathLike"),
    (["callbacks.best.dirpath=1.5"], "callbacks.best.dirpath: 1.5 came; possible: text, null"),
    (
        ["callbacks.best.monitor=val/acuracy"],
        "callbacks.best.monitor: unknown metric 'val/acuracy'",
    ),
    (["+callbacks.best.save_top_k=-2"], "callbacks.best: "),
    (["callbacks.ticker.every_n_steps=0"], "callbacks.ticker: a tick takes at least 1 step, not 0"),
    (["host.num_classes=3"], "host.num_classes: 3 is below data.num_classes, which is 4"),
    (["callbacks.ledger=null"], "callbacks: a run needs kasmina.callbacks.ledger.Ledger"),
    (
        ["pace=statistical", "callbacks.looks=null"],
        "callbacks: pace=statistical needs kasmina.callbacks.looks.GateLooks",
    ),
    (["data.train_size=-1"], "data: train_size is at least 2, not -1"),
    (["data.batch_size=0"], "data: a batch has at least 1 sample, not 0"),
    (
        ["data.drop_last=true", "data.batch_size=65"],
        "64 samples make no batch of 65 with drop_last",
    ),
    (["blueprint.mlp.ratio=-1"], "blueprint.mlp: a blueprint's ratio is above 0, not -1"),
    (["optimizer.betas=[2,3]"], "optimizer: Invalid beta parameter at index 0: 2"),
    (["task.label_smoothing=7"], "task: num_classes is at least 1 and label_smoothing lies in"),
    (["controller.pace=word"], "controller.pace: 'word' came; possible: a mapping with _target_"),
    (["controller.pace={}"], "controller.pace: needs a _target_"),
)
"""Command lines that ended in a traceback, or with an error of a run that had begun."""


def too_slow(signum: int, frame: Any) -> None:
    raise AssertionError(f"no end after {SLOWEST} s")


def judge(overrides: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """What is wrong with the answer to a command line; None where it is as it should be."""
    signal.alarm(SLOWEST)
    try:
        code = main(overrides)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # every traceback is a finding
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    said = capsys.readouterr().err
    left = [path for path in folder.rglob("*") if path.is_file()]
    if code == OK:
        return None if any(p.name == "summary.json" for p in left) else "no summary"
    if code != WRONG:
        return f"exit code {code}: {said}"
    if left:
        return f"refused, but left {left[0]}"
    lines = said.splitlines()
    sound = lines and all(_is_sentence(line) for line in lines)
    return None if sound else f"unclear: {said}"


def _is_sentence(line: str) -> bool:
    return line.startswith(("config error: ", "error: ")) and len(line) < LONGEST


@pytest.fixture
def untouched() -> Iterator[None]:
    """What options of the trainer switch for the whole process is switched back."""
    alarm = signal.signal(signal.SIGALRM, too_slow)
    yield
    signal.signal(signal.SIGALRM, alarm)
    torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore")  # odd values are odd to Lightning as well
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "shard",
    [
        shard if shard < 1 else pytest.param(shard, marks=pytest.mark.long)
        for shard in range(SHARDS)
    ],
)
def test_a_mutated_config_runs_or_is_refused_in_words_and_leaves_nothing(
    shard: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)
    wrong = {}
    for seed in range(shard, MUTANTS, SHARDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        monkeypatch.chdir(folder)
        overrides = mutant(seed)
        problem = judge(overrides, folder, capsys)
        if problem:
            wrong[" ".join(overrides)] = problem
    assert not wrong, "\n".join(f"{line}\n    {problem}" for line, problem in wrong.items())


@pytest.mark.parametrize(("overrides", "said"), FOUND, ids=str)
def test_what_was_found_is_refused_in_one_line(
    overrides: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*runs.VECTORS, *CHEAP, *overrides]) == WRONG
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_an_override_may_point_at_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*runs.VECTORS, *CHEAP, "growth.seed_lr=${optimizer.lr}"]) == OK
    (told,) = tmp_path.rglob("environment.json")
    assert "growth.seed_lr=${optimizer.lr}" in told.read_text()
    assert main([f"resume={told.parent}", "trainer.max_steps=4", "trainer.max_epochs=2"]) == OK
