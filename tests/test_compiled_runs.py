"""Compiled runs and eager runs read each other's checkpoints."""

from pathlib import Path

import pytest
import torch
from runs import IMAGES, checkpoint, made, run, timeline

pytestmark = [  # what torch 2.13's compiler says about torch
    pytest.mark.filterwarnings(f"ignore:{said}")
    for said in (".*autograd.function.Function.* should not be inst", "The .grad attr", ".*jit")
]

LIFE = (
    *IMAGES,
    *timeline("1 stages.0 germinate se", "1 stages.0 train", "2 stages.0 blend"),
    *("blueprint=[se]", "controller.pace=null", "ramp.ticks=3", "trainer.max_epochs=4"),
    "memory_format=channels_last",
)
EAGER: tuple[str, ...] = ()
BLOCKS = ("compile=default", "compile.backend=aot_eager", "compile.fullgraph=true")
WHOLE = (*BLOCKS, "compile.scope=whole")


@pytest.fixture(autouse=True)
def _no_graphs() -> None:
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("written", "read"), [(BLOCKS, EAGER), (EAGER, BLOCKS), (WHOLE, BLOCKS), (BLOCKS, WHOLE)]
)
def test_a_checkpoint_moves_between_compiled_and_eager_runs(
    written: tuple[str, ...], read: tuple[str, ...], tmp_path: Path
) -> None:
    folder = run(tmp_path, *LIFE, *written)
    last = folder / "checkpoints" / "last.ckpt"
    names = list(checkpoint(last)["state_dict"])
    assert not any("_orig_mod" in name for name in names)
    assert any("seed" in name for name in names)
    other = made(tmp_path / "other", *LIFE, *read, "trainer.max_epochs=5")
    other.trainer.fit(other.module, other.data, ckpt_path=last, weights_only=True)
    assert other.trainer.current_epoch == 5
    assert list(other.module.state_dict()) == names
