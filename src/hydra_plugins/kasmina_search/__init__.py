"""``hydra/sweeper=search``, where Hydra looks for sweepers.

Hydra imports this at every start, before kasmina: everything heavy is imported when it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

__all__ = ["SearchSweeper"]


class SearchSweeper(Sweeper):
    """Looks for the values with the best validation metric.

    Args:
        params: what is searched, beside what the command line sweeps: key to values.
        options: of ``kasmina.search.options.Options``.
    """

    def __init__(self, *, params: Mapping[str, Any], **options: Any) -> None:
        self.params, self.options = params, options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra, once."""
        self.loader, self.all = hydra_context.config_loader, config
        self.jobs: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search, and say what was found.

        Raises:
            ConfigFaults: an option or a parameter is wrong; nothing has been started.
        """
        from kasmina.faults import ConfigFaults
        from kasmina.search import outcome
        from kasmina.search.options import Options
        from kasmina.search.space import Space

        options = Options.of({k: _plain(v) for k, v in self.options.items()})
        options.check()
        if self.all.hydra.launcher.get("first") is not None:
            raise ConfigFaults("hydra.launcher.first: a search has hydra.sweeper.trials for that")
        space = Space.of(self._parsed(arguments))
        first = self._config_of(0, space.overrides(space.draw(options.seed, 0)))
        ended = self._search(space, options, first)
        best = outcome.best_of(ended, first.task.mode)
        outcome.write(self._folder(), best, space)
        print(outcome.line(ended, best, space, f"val/{first.task.monitor}"))

    def _search(self, space: Any, options: Any, first: DictConfig) -> Any:
        from kasmina.multirun import held
        from kasmina.search.run import Place, with_study, without_study

        launcher = self.all.hydra.launcher
        resume = bool(launcher.get("resume"))
        place = Place(self._folder(), self._launch, self._run_of, launcher.get("jobs"), resume)
        if not options.has_study:
            return without_study(space, options, place)
        from kasmina.search.study import Trials

        with held(place.folder):
            pass  # or the jobs of an earlier start still run, and both would ask for trials
        named = {"name": first.name, "mode": first.task.mode, "resume": resume}
        trials = Trials(space, options, folder=place.folder, **named)
        try:
            return with_study(space, options, place, trials)
        finally:
            trials.close()

    def _parsed(self, arguments: list[str]) -> list[Any]:
        described = [f"{key}={_text(value)}" for key, value in self.params.items()]
        parser = OverridesParser.create(config_loader=self.loader)
        return parser.parse_overrides([*described, *arguments])

    def _folder(self) -> Path:
        return Path(self.all.hydra.sweep.dir).resolve()

    def _launch(self, first: int, jobs: list[list[str]]) -> list[float]:
        answers = self.jobs.launch(jobs, initial_job_idx=first)
        return [float(answer.return_value) for answer in answers]

    def _run_of(self, number: int, overrides: list[str]) -> Path:
        from kasmina.multirun import run_folder

        return run_folder(self._config_of(number, overrides))

    def _config_of(self, number: int, overrides: list[str]) -> DictConfig:
        from kasmina.multirun import job_config

        return job_config(self.loader, self.all, number, overrides)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
