"""Paired timings, allocator counts, and the command that shows them."""

import json
from pathlib import Path

import pytest
import torch

from kasmina.bench import sheet
from kasmina.bench.memory import memory_of
from kasmina.bench.networks import convnet, gpt
from kasmina.bench.steps import plain, steps_of
from kasmina.bench.suite import Plan, Row, measure
from kasmina.bench.timing import Spread, interleave, ratio, spread
from kasmina.benchmark import answer, parser
from kasmina.compiling import Compile
from kasmina.faults import UsageFaults


def test_every_case_runs_once_a_round_and_the_order_turns() -> None:
    calls: list[str] = []
    cases = {name: lambda name=name: calls.append(name) for name in "abc"}
    seen: list[tuple[int, int]] = []
    seconds = interleave(
        cases, rounds=3, warmup=0, progress=lambda done, total: seen.append((done, total))
    )
    assert calls == list("abcbcacab")
    assert {len(values) for values in seconds.values()} == {3}
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == Spread(2.0, 2.0, 2.0)
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0)


def test_memory_is_what_was_allocated_and_what_was_held_at_once() -> None:
    def call() -> None:
        first = torch.ones(1024)
        second = first + 1
        del first
        third = second + 1
        del second, third

    memory = memory_of(call)
    scalars = 24  # of the additions
    assert 3 * 4096 <= memory.allocated <= 3 * 4096 + scalars
    assert 2 * 4096 <= memory.peak <= 2 * 4096 + scalars


LAYOUT = torch.contiguous_format


@pytest.mark.parametrize(
    "network",
    [
        convnet(quick=True, device="cpu", layout=LAYOUT),
        pytest.param(gpt(quick=True, device="cpu"), marks=pytest.mark.long),
    ],
    ids=["convnet", "gpt"],
)
def test_empty_slots_and_fossilized_seeds_allocate_nothing_of_their_own(network: object) -> None:
    steps = {step.case: step for step in steps_of(network, Compile("off"))}  # type: ignore[arg-type]
    used = {}
    for case, step in steps.items():
        step.run()
        used[case] = memory_of(step.run)
    assert used["dormant"].allocated == used["plain"].allocated
    assert used["fossilized"].allocated == used["by hand"].allocated > used["plain"].allocated
    assert used["training, shadow"].peak > used["plain"].peak
    bare = plain(network, Compile("off"))  # type: ignore[arg-type]
    assert not any(module._forward_hooks for module in bare.modules())


@pytest.mark.long
def test_the_suite_has_a_row_a_case_with_its_ratio_and_target() -> None:
    told: list[str] = []

    def say(part: str):  # type: ignore[no-untyped-def]
        told.append(part)
        return lambda done, total: None

    parts = ("convnet", "slots", "germination")
    rows = measure(Plan(parts=parts, quick=True, rounds=2, modes=("off",)), say)
    assert told == list(parts)
    cases = {(row.network, row.layout, row.case) for row in rows}
    assert {("ConvNet", "channels_last", "fossilized"), ("GPT", "-", "prune")} <= cases
    assert {row.case for row in rows if row.network == "GPT-8"} == {
        "1 empty slots",
        "4 empty slots",
    }
    for row in rows:
        assert row.ms > 0
        assert (row.reached is None) == (row.target is None)


def test_a_target_is_kept_or_not() -> None:
    row = Row("n", "-", "off", "dormant", 1.0, ratio=1.02, target=1.01)
    assert row.reached is False
    assert Row("n", "-", "off", "dormant", 1.0).reached is None


def test_the_command_writes_table_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    flags = ["germination", "--quick", "--rounds", "2", "--json", str(path)]
    answer(parser().read(flags))
    assert "germinate" in capsys.readouterr().out
    found = json.loads(path.read_text())
    assert [row["case"] for row in found["rows"]] == ["germinate", "prune"] * 2
    assert found["machine"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convnets"], "unknown part 'convnets'; did you mean 'convnet'?"),
        (["--compile", "defalt"], "did you mean 'default'?"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(UsageFaults, match=said.replace("?", r"\?")):
        parser().read(arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--rounds", "0"], "at least 1; 0 came"), (["--device", "tpu"], "'tpu' is not here")],
)
def test_a_wrong_value_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answer(parser().read(arguments))


def test_tables_are_written_to_four_figures(tmp_path: Path) -> None:
    rows = [{"case": "a", "ratio": 1.23456}, {"case": "b", "ratio": 2}]
    sheet.write_csv(tmp_path / "rows.csv", rows)
    assert (tmp_path / "rows.csv").read_text() == "case,ratio\na,1.235\nb,2\n"
    assert sheet.markdown(rows).splitlines()[2:] == ["| a | 1.235 |", "| b | 2 |"]
