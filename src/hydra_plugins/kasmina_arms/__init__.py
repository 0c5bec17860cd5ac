"""``hydra/sweeper=arms``, where Hydra looks for sweepers: the jobs of an ablation.

Hydra imports this at every start, before kasmina: everything heavy is imported when it is used.
"""

from itertools import groupby
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["ArmsSweeper"]


class ArmsSweeper(Sweeper):
    """Runs every arm of an ablation with every seed; docs/ablation.md.

    Args:
        options: of ``kasmina.ablation.Ablation.of``, as plain values.
    """

    config: DictConfig  # Hydra's base class allows None, which it is before setup
    launcher: Launcher

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra, once."""
        self.config, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run wave after wave: a run that another needs has ended when that one starts."""
        from kasmina.arms import ablation_of, write_plan
        from kasmina.multirun import job_config, run_folder
        from kasmina.typed import quoted

        ablation, fixed = ablation_of(self.options, arguments)
        folder = Path(self.config.hydra.sweep.dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        write_plan(folder, ablation, str(self.config.name))
        folders: dict[int, str] = {}
        returned = []
        for _, wave in groupby(ablation.jobs(), key=lambda job: job.wave):
            jobs = list(wave)
            batch = [[*fixed, *job.told(folders)] for job in jobs]
            for job, overrides in zip(jobs, batch, strict=True):
                config = job_config(self.loader, self.config, job.number, overrides)
                folders[job.number] = quoted(run_folder(config))
            returned.append(self.launcher.launch(batch, initial_job_idx=jobs[0].number))
        return returned
