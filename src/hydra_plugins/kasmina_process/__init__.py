"""``hydra/launcher=process``, where Hydra looks for launchers.

Hydra imports this at every start, before kasmina: everything heavy is imported when it is used.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["ProcessLauncher"]


class ProcessLauncher(Launcher):
    """Runs each job of a multirun of kasmina's in a process of its own.

    Args:
        jobs: at a time, at most; None: as many as there is room for.
        per_device: jobs that share a GPU.
        resume: skip the jobs that are done, and go on with the interrupted ones.
        first: so many jobs of the multirun, and no others; None: all.
    """

    def __init__(
        self,
        *,
        jobs: int | None = None,
        per_device: int = 1,
        resume: bool = False,
        first: int | None = None,
    ) -> None:
        self.most, self.per_device, self.resume = jobs, per_device, resume
        self.first = first

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by the sweeper, once.

        Raises:
            TypeError: the jobs are another program's.
            ConfigFaults: an option is no number, or too small.
        """
        from kasmina.launch import check_launcher

        if not hasattr(task_function, "multiruns"):
            raise TypeError("hydra/launcher=process starts kasmina; another program has no use")
        check_launcher({"jobs": self.most, "per_device": self.per_device, "first": self.first})
        self.loader, self.task, self.config = hydra_context.config_loader, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run jobs; what a failed one returns is nan, and the others go on."""
        from kasmina.multirun import Multirun

        many = Multirun(
            self.config,
            self._config_of,
            most=self.most,
            per_device=self.per_device,
            resume=self.resume,
        )
        task: Any = self.task
        task.multiruns.add(many.folder)
        here = job_overrides[: None if self.first is None else max(0, self.first - initial_job_idx)]
        jobs = {initial_job_idx + i: list(each) for i, each in enumerate(here)}
        values = many.run(jobs)
        return [_returned(overrides, values[number]) for number, overrides in jobs.items()]

    def _config_of(self, number: int, overrides: list[str]) -> DictConfig:
        from kasmina.multirun import job_config

        return job_config(self.loader, self.config, number, overrides)


def _returned(overrides: list[str], value: float) -> JobReturn:
    answer = JobReturn(overrides=overrides, task_name="kasmina", status=JobStatus.COMPLETED)
    answer.return_value = value
    return answer
