"""The only module that touches Hydra: composing, sweeping and running.

Written against what hydra-core 1.3 and the pre-releases of 1.4 share: ``hydra.main``, ``compose``,
search path plugins, the override parser. Nothing is built by ``hydra.utils.instantiate``.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, product, takewhile
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kasmina.faults import ConfigFaults
from kasmina.ranks import rank, started
from kasmina.typed import EXCLUDED, inherited, plain

ROOT = "train"
"""The primary config, ``conf/train.yaml``."""

USER_CONF = "KASMINA_CONF"
"""Environment variable: config folders of the user, separated as in PATH."""

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)
"""What a wrong override or a wrong yaml file can raise."""

_OLD = hydra.__version__.startswith("1.3.")
_DEFAULTS: dict[str, Any] = {"version_base": "1.3"} if _OLD else {}  # 1.4 warns when it is told
_OF_RUNS = ("baseline.run", "timing.run")  # folders say nothing in the name of a folder
_LONGEST_FOLDER = 100  # characters; file systems stop at 255 bytes


def conf_dir() -> Path:
    """The folder of the configs that come with kasmina: in the wheel, or in the checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parents[1] / "conf"


def user_dirs() -> list[Path]:
    """The user's config folders, first searched first.

    Raises:
        ConfigFaults: a folder that the environment names does not exist.
    """
    named = [Path(text) for text in os.environ.get(USER_CONF, "").split(os.pathsep) if text]
    for folder in named:
        if not folder.is_dir():
            raise ConfigFaults(f"{USER_CONF} names {folder}, which is no folder")
    here = Path("conf")
    found = [*named, here] if here.is_dir() else named
    ours = conf_dir().resolve()
    return [folder for folder in map(Path.resolve, found) if folder != ours]


class UserConf(SearchPathPlugin):
    """Lets the user's config folders come before ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra for every composition."""
        for folder in reversed(user_dirs()):
            search_path.prepend(provider="user", path=f"file://{folder}")


def _job_folder(number: int, overrides: str) -> str:
    """A multirun's job in words: its number, and what sets it apart."""
    words = overrides.replace("/", "-").replace(" ", "")[:_LONGEST_FOLDER]
    return f"{number}_{words}" if words else str(number)


Plugins.instance().register(UserConf)
# omegaconf 2.3 has an older function of that name, and 2.4 warns about the name of 2.3
_register: Any = OmegaConf.register_new_resolver if _OLD else OmegaConf.register_resolver
_register("job_folder", _job_folder, replace=True)
_register("started", started, use_cache=True, replace=True)


@contextmanager
def composer() -> Iterator[None]:
    """Keep Hydra's loader open over many compositions; an open one is used again."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with hydra.initialize_config_dir(str(conf_dir()), job_name="kasmina", **_DEFAULTS):
        yield


def compose(overrides: list[str], root: str = ROOT) -> DictConfig:
    """The config of one job, interpolations unresolved, as ``hydra.main`` would hand it over.

    Raises:
        COMPOSITION_ERRORS: Hydra's own; ``kasmina.hints`` puts them into words.
    """
    config = _compose_all(overrides, root)
    HydraConfig.instance().set_config(config)  # so that ${hydra:...} resolves, as in a job
    if "paths" in config:
        config.paths.run_dir = _run_dir(config)
    with open_dict(config):
        del config["hydra"]
    return config


def _run_dir(config: DictConfig) -> str:
    try:
        return str(config.hydra.run.dir)
    except OmegaConfBaseException:  # its parts are keys of the config, and are checked there
        return "runs"


def _compose_all(overrides: list[str], root: str) -> DictConfig:
    with composer():
        try:
            return hydra.compose(root, overrides, return_hydra_config=True)
        except (TypeError, ValueError) as error:  # a group's option that is null or a number
            if isinstance(error, COMPOSITION_ERRORS):
                raise
            raise ConfigCompositionException(str(error)) from error


def groups() -> list[str]:
    """The config groups, Hydra's own left out."""
    with composer():
        names = GlobalHydra.instance().config_loader().list_groups("")
    return [name for name in names if name not in ("hydra", "sweep")]  # of files that W&B reads


def options(group: str) -> list[str]:
    """The options of a config group, the user's included; empty for an unknown group."""
    with composer():
        found = GlobalHydra.instance().config_loader().get_group_options(group)
    return sorted(set(found))


def comments(group: str, option: str) -> list[str]:
    """The lines of comment with which an option's file opens, package headers left out."""
    folders = [*user_dirs(), conf_dir()]
    path = next(p for folder in folders if (p := folder / group / f"{option}.yaml").is_file())
    lines = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return [text for line in lines if not (text := line.lstrip("# ")).startswith("@package")]


def parse(override: str) -> Override:
    """Read one override.

    Raises:
        COMPOSITION_ERRORS: it breaks Hydra's grammar.
    """
    opened = GlobalHydra.instance()
    loader = opened.config_loader() if opened.is_initialized() else None  # glob() asks it
    return OverridesParser.create(loader).parse_override(override)


def jobs(overrides: list[str], root: str = ROOT, limit: int = 200) -> list[list[str]]:
    """The overrides of every job of a multirun, at most ``limit`` jobs.

    A continuous range counts once, with its lower end. A sweep that the config itself describes
    (``hydra.sweeper.params``) is unrolled too. What cannot be read stays as it came, and is
    found when the job is composed.
    """
    choices = {text: _choices(text) for text in overrides}
    sweeper = settings("sweeper", overrides, root)
    described = sweeper.get("params") or {}
    unrolled = [_choices(f"{key}={value}") for key, value in described.items()]
    every = [*unrolled, *choices.values()]
    if str(sweeper.get("_target_", "")).endswith(".SearchSweeper"):
        return list(islice(_each_value(every), limit))
    return [list(job) for job in islice(product(*every), limit)]


def _each_value(choices: list[list[str]]) -> Iterator[list[str]]:
    """Jobs that have every value once: a search draws from a product too large to look at."""
    first = [values[0] for values in choices]
    yield first
    for at, values in enumerate(choices):
        for value in values[1:]:
            yield [*first[:at], value, *first[at + 1 :]]


def settings(name: str, overrides: list[str], root: str = ROOT) -> dict[str, Any]:
    """A part of Hydra's own config of a multirun, plain; empty where it cannot be composed.

    Args:
        name: ``sweeper`` or ``launcher``.
        overrides: as typed; those that list several values are left out.
        root: the primary config.
    """
    fixed = [text for text in overrides if _choices(text) == [text]]
    try:
        part = _compose_all(fixed, root).hydra[name]
    except COMPOSITION_ERRORS:
        return {}
    found: Any = OmegaConf.to_container(part)
    return dict(found)


def _choices(text: str) -> list[str]:
    try:
        override = parse(text)
    except COMPOSITION_ERRORS:
        return [text]
    if not override.is_sweep_override():
        return [text]
    key = override.get_key_element()
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}"]
    return [f"{key}={each}" for each in override.sweep_string_iterator()]


def sweep_dir(overrides: list[str], root: str = ROOT) -> Path:
    """The folder that a multirun of these overrides would have.

    Raises:
        COMPOSITION_ERRORS: the config cannot be composed.
    """
    fixed = [text for text in overrides if not parse(text).is_sweep_override()]
    config = _compose_all(fixed, root)
    HydraConfig.instance().set_config(config)
    return Path(config.hydra.sweep.dir)


def run(task: Callable[[DictConfig], Any], argv: list[str], root: str = ROOT) -> set[Path]:
    """Give ``argv`` to ``hydra.main``: one job, a multirun, or one of Hydra's questions.

    Each job gets its config with ``paths.run_dir`` set to its own folder. An exception of a job
    arrives here as it was raised; in a multirun the other jobs run first.

    Returns:
        The folders of the multiruns whose jobs had processes of their own.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra shall not print and exit by itself
    sys.argv = [sys.argv[0], *argv, *_plain_folders(argv), *_own_files()]
    job: Any = _in_run_dir(task)
    folders: set[Path] = set()
    job.multiruns = folders  # the launcher of processes fills it
    hydra.main(config_path=str(conf_dir()), config_name=root, **_DEFAULTS)(job)()
    return folders


def _own_files() -> list[str]:
    """What Lightning tells the ranks that it starts: log elsewhere, and leave .hydra to rank 0."""
    number = rank()
    return [f"hydra.job.name=rank_{number}", "hydra.output_subdir=null"] if number else []


def _plain_folders(argv: list[str]) -> list[str]:
    """Name a multirun's folders after what is swept, not after what all jobs share."""
    if not {"-m", "--multirun"} & set(argv):
        return []
    shared = [*shared_keys([text for text in argv if not text.startswith("-")]), *_OF_RUNS]
    names = ",".join(f"'{key.lstrip('+~')}'" for key in shared)
    return [f"{EXCLUDED}=[{names}]"]


def shared_keys(overrides: list[str]) -> list[str]:
    """The keys, with + and ~, that have one value in all jobs of a multirun."""
    fixed = (each for each in map(parse, overrides) if not each.is_sweep_override())
    return [each.get_key_element() for each in fixed]


def _in_run_dir(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    def job(config: DictConfig) -> Any:
        settings: Any = HydraConfig.get()
        folder = settings.runtime.output_dir
        with read_write(settings), open_dict(settings):
            settings.run.dir = folder  # where Lightning sends the other ranks of a multirun's job
        sys.argv = [sys.argv[0], *_again(settings)]
        config.paths.run_dir = folder
        return task(config)

    return job


def _again(settings: Any) -> list[str]:
    """The command line of this job alone, for Lightning to start its other ranks with."""
    root = settings.job.config_name
    other = [] if root == ROOT else [f"--config-name={root}"]
    facts = (
        [] if OmegaConf.is_missing(settings.job, "num") else [f"hydra.job.num={settings.job.num}"]
    )
    return [*other, *inherited(settings.overrides.hydra), *facts, *plain(settings.overrides.task)]
