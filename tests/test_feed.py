"""What loggers get beside Lightning's metrics."""

from pathlib import Path
from typing import Any

import pytest
from lightning import Callback
from lightning.pytorch.loggers import CSVLogger

from kasmina.callbacks.feed import STAGES
from kasmina.stage import Stage
from tests.run_files import Record, contents, history, of_kind, summary
from tests.runs import FAST, TWO_LIVES, VECTORS, fit, load, rows, run, timeline

STEPS = "trainer.log_every_n_steps=1"
WANDB = (*VECTORS, "logger=wandb", "logger.wandb.offline=true", "ramp.ticks=2", STEPS)


def logged(folder: Path) -> list[dict[str, str]]:
    return rows(folder / "csv")


def test_every_validation_logs_the_slots_and_the_bill(tmp_path: Path) -> None:
    target = "{_target_: lightning.pytorch.loggers.CSVLogger, save_dir: ${paths.run_dir}, "
    one = f"+logger.one={target}name: csv, version: ''}}"
    objects = fit(tmp_path, *VECTORS, *FAST, one, "trainer.max_epochs=6", STEPS)
    (logger,) = objects.trainer.loggers
    assert isinstance(logger, CSVLogger)
    lines = [row for row in logged(tmp_path) if row["slot/layers.0/alpha"]]
    timeline = [row for row in rows(tmp_path, "timeline.csv") if row["site"] == "layers.0"]
    assert [float(r["slot/layers.0/alpha"]) for r in lines] == [float(r["alpha"]) for r in timeline]
    stages = [STAGES[int(float(row["slot/layers.0/stage"]))] for row in lines]
    assert stages == [row["stage"] for row in timeline]
    flops = [float(row["train_flops"]) for row in rows(tmp_path)]
    assert [float(row["train_flops"]) for row in lines] == pytest.approx(flops, rel=1e-6)


def wandb_run(folder: Path, *overrides: str) -> list[Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_DATA_DIR", str(folder.parent))
        try:
            run(folder, *WANDB, *overrides)
        finally:
            found = contents(folder)
    return found


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job of a multirun, empty."""
    multirun = tmp_path_factory.mktemp("many")
    (multirun / "command.json").touch()
    return multirun / "0_seed=1"


@pytest.fixture(scope="session")
def records(job: Path) -> list[Record]:
    """Of a run in which a seed is kept and one is pruned."""
    options = ("report=true", "trainer.max_epochs=6", "logger.wandb.log_model=true", "tags=[a,b]")
    return wandb_run(job, *timeline(*TWO_LIVES), *options)


@pytest.mark.slow
def test_a_validation_is_one_row_of_wandbs(records: list[Record], job: Path) -> None:
    found = [row for row in history(records) if "val/accuracy" in row]
    wanted = rows(job)
    assert len(found) == len(wanted) == 6
    for row, known in zip(found, wanted, strict=True):
        assert row["val/accuracy"] == float(known["val/accuracy"])
        assert row["train/loss"] == float(known["train/loss"])
        assert row["train_flops"] == float(known["train_flops"])
        assert (row["epoch"], row["trainer/global_step"]) == (
            int(known["epoch"]),
            int(known["step"]),
        )
        assert row["slot/layers.0/stage"] in range(len(Stage))
        assert "slot/layers.1/alpha" in row
        assert "slot/layers.1/parameters" in row
    assert any("slot/layers.0/contribution" in row for row in found)


@pytest.mark.slow
def test_metrics_are_drawn_against_epochs_and_every_axis_is_defined(records: list[Record]) -> None:
    metrics = of_kind(records, "metric")
    axes = {each["name"]: each.get("step_metric") for each in metrics if "name" in each}
    drawn = {name for row in history(records) for name in row if "/" in name}
    drawn = {name for name in drawn if name.split("/")[0] in ("train", "val", "slot")}
    assert {axes[name] for name in drawn} == {"epoch"}
    for axis in ("epoch", "trainer/global_step", "train_flops"):
        assert axes[axis] is None


@pytest.mark.slow
def test_the_tables_and_the_pictures_are_there(records: list[Record], job: Path) -> None:
    last = summary(records)
    for table in ("decisions", "timeline"):
        assert last[f"report/{table}._type"] == "table-file"
    assert last["report/timeline.nrows"] == len(rows(job, "timeline.csv"))
    assert last["report/timeline.ncols"] == len(rows(job, "timeline.csv")[0])
    assert len(list(job.rglob("media/images/report/*.png"))) >= 4


@pytest.mark.slow
def test_the_summary_is_that_of_the_run(records: list[Record], job: Path) -> None:
    last, known = summary(records), load(job, "summary.json")
    assert last["status"] == "finished"
    assert last["best/value"] == known["best"]["value"]
    assert last["parameters/total"] == known["parameters"]["total"]
    assert (last["seeds/kept"], last["seeds/pruned"]) == (1, 1)
    assert last["train_flops"] == known["flops"]
    assert last["test/accuracy"] == known["test"]["test/accuracy"]
    assert of_kind(records, "exit")[0].get("exit_code", 0) == 0


@pytest.mark.slow
def test_the_run_says_where_it_belongs(records: list[Record], job: Path) -> None:
    (about,) = of_kind(records, "run")
    assert about["run_group"] == f"{job.parents[1].name}/{job.parent.name}"
    assert about["job_type"] == "schedule"
    assert about["display_name"] == "default 0_seed=1"
    assert about["tags"] == ["a", "b"]
    (config,) = of_kind(records, "config")
    assert config["update"]["ramp"]["ticks"] == 2
    assert any("proc.memory.rssMB" in each["item"] for each in of_kind(records, "stats"))


def models(records: list[Record]) -> list[Record]:
    return [each for each in of_kind(records, "artifact") if each["type"] == "model"]


def alias_of(artifact: Record) -> str:
    """The one beside W&B's own, in whatever order."""
    (name,) = set(artifact["aliases"]) - {"latest"}
    return str(name)


@pytest.mark.slow
def test_the_best_and_the_last_checkpoint_are_artifacts_at_the_end(
    records: list[Record], job: Path
) -> None:
    found = {alias_of(each): each for each in models(records)}
    assert sorted(found) == ["best", "last"]
    assert len(models(records)) == 2
    for name, artifact in found.items():
        (file,) = artifact["manifest"]["contents"]
        assert file["path"] == "model.ckpt"
        assert int(file["size"]) == (job / f"checkpoints/{name}.ckpt").stat().st_size
        staged = Path(file["local_path"]).read_bytes()
        assert staged == (job / f"checkpoints/{name}.ckpt").read_bytes()


class Fault(Callback):
    """Ends a run in its third epoch."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            raise ArithmeticError("as the test wants it")


@pytest.mark.slow
def test_a_run_that_fails_is_failed_and_finished_and_keeps_each_checkpoint(tmp_path: Path) -> None:
    import wandb

    folder = tmp_path / "run"
    with pytest.raises(ArithmeticError):
        wandb_run(
            folder, "+callbacks.fault._target_=tests.test_feed.Fault", "logger.wandb.log_model=all"
        )
    assert wandb.run is None
    found = contents(folder)
    assert summary(found)["status"] == "failed"
    assert of_kind(found, "exit")[0]["exit_code"] == 1
    assert [alias_of(each) for each in models(found)].count("last") == 2
    assert "run_group" not in of_kind(found, "run")[0]
