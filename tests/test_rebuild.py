"""A grown network comes back from its checkpoint alone."""

import shutil
from pathlib import Path

import pytest
import torch
from runs import FAST, IMAGES, TOKENS, VECTORS, checkpoint, config, fit, run

from kasmina.evaluate import evaluate
from kasmina.lit import GrowingModule
from kasmina.rebuild import rebuild

KINDS = {"vectors": VECTORS, "tokens": TOKENS, "images": IMAGES}
GROWS = (*FAST, "pace.keep_minimum=null", "trainer.max_epochs=4", "test=false")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_rebuilt_without_its_folder_and_its_data(tmp_path: Path, kind: str) -> None:
    folder = run(tmp_path / "run", *KINDS[kind], *GROWS)
    alone = shutil.move(folder / "checkpoints" / "last.ckpt", tmp_path / "alone.ckpt")
    shutil.rmtree(folder)
    module = GrowingModule.load_from_checkpoint(alone)
    saved = checkpoint(alone)
    assert any(".seed." in name for name in saved["state_dict"])
    assert saved["state_dict"].keys() == module.state_dict().keys()
    assert all(torch.equal(saved["state_dict"][n], t) for n, t in module.state_dict().items())


def test_it_computes_what_the_trained_one_computes(tmp_path: Path) -> None:
    trained = fit(tmp_path, *VECTORS, *GROWS)
    saved = tmp_path / "now.ckpt"
    trained.module.save_hyperparameters(_told(tmp_path), logger=False)
    trained.trainer.save_checkpoint(saved)
    inputs = trained.data.dataset("val")[torch.arange(8)][0]
    with torch.no_grad():
        assert torch.equal(rebuild(saved).eval()(inputs), trained.module.eval()(inputs))


def _told(folder: Path) -> dict[str, object]:
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config(folder, *VECTORS, *GROWS), resolve=True)
    return {"config": plain, "example": {"shape": [2, 8], "dtype": "float32"}}


def test_a_checkpoint_is_evaluated_wherever_it_lies(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", *VECTORS, *GROWS)
    before = evaluate(folder)
    alone = shutil.copy(folder / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    shutil.rmtree(folder)
    assert evaluate(Path(alone)) == before


def test_a_checkpoint_that_does_not_say_how_it_was_built_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, *VECTORS, *GROWS)
    saved = checkpoint(folder / "checkpoints" / "last.ckpt")
    del saved["hyper_parameters"], saved["kasmina"]
    torch.save(saved, tmp_path / "first.ckpt")
    with pytest.raises(ValueError, match="does not say how its network was built"):
        rebuild(tmp_path / "first.ckpt")
