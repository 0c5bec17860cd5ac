"""What ranks compare, and how a difference is told."""

from pathlib import Path

import pytest
import torch
from runs import VECTORS, fit, timeline

from kasmina.strategies import GrowingDDP
from kasmina.strategies.agree import described, difference


def test_ranks_that_share_a_line_are_named_together() -> None:
    everyone = [{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1", "b": "2"}, {"a": "1"}]
    assert difference(everyone) == (
        "ranks hold different networks; b is, on ranks 0, 2: 2; on rank 1: 3; on rank 3: not there"
    )


def test_slots_parameters_and_param_groups_are_described_and_values_where_asked(
    tmp_path: Path,
) -> None:
    life = timeline("1 layers.0 germinate mlp", "1 layers.0 train")
    run = fit(tmp_path, *VECTORS, *life, "trainer.max_epochs=2")
    lines = described(run.module, run.trainer.optimizers)
    assert lines["stage of slot layers.0"] == '"training"'
    assert lines["alpha of slot layers.1"] == "0.0"
    assert lines["param group layers.0"] == "6 tensors"
    assert lines["parameter host.head.weight"] == "(4, 8) trained"
    with torch.no_grad():
        weight = run.module.model.host.get_parameter("head.weight")
        before = described(run.module, [], values=True)
        weight[0, 0] += 2**-20
    assert described(run.module, []) == {k: v for k, v in lines.items() if "group" not in k}
    after = described(run.module, [], values=True)
    assert [k for k in after if after[k] != before[k]] == ["parameter host.head.weight"]


def test_an_unknown_kind_of_comparison_is_named() -> None:
    with pytest.raises(ValueError, match="unknown kind of comparison 'parameter'"):
        GrowingDDP(compare="parameter")
