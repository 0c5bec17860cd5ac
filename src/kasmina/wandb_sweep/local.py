"""A sweep without a server: W&B's words for a search in those of Hydra's command line."""

import math
from collections.abc import Mapping
from typing import Any

from kasmina import hydra_api
from kasmina.faults import ConfigFaults
from kasmina.suggest import unknown
from kasmina.wandb_sweep.file import GOALS, Sweep

_ETA = 3  # W&B's own
_PRUNING = ("type", "min_iter", "eta")
_TRANSLATED = (
    *("constant", "categorical", "int_uniform", "uniform", "q_uniform", "log_uniform"),
    *("log_uniform_values", "q_log_uniform_values"),
)


def arguments(sweep: Sweep, *, count: int | None = None, resume: bool = False) -> list[str]:
    """What ``kasmina`` is told to run the same jobs by itself.

    Args:
        sweep: the file.
        count: runs, at most; None: as the file's ``run_cap`` says, or the whole grid.
        resume: go on with the newest multirun of the same arguments.

    Raises:
        ConfigFaults: what the file says has no counterpart here; a line for each.
    """
    faults = [] if "metric" not in sweep.config else list(_faults_of_metric(sweep))
    told = []
    for name, spec in sweep.parameters.items():
        try:
            told.append(f"{sweep.prefix}{name}={_searched(spec, grid=sweep.method == 'grid')}")
            hydra_api.parse(told[-1])
        except (ValueError, OverflowError) as error:
            faults.append(f"parameters.{name}: {error}")
        except hydra_api.COMPOSITION_ERRORS as error:
            faults.append(f"parameters.{name}: {str(error).splitlines()[0]}")
    if faults:
        raise ConfigFaults(*faults)
    search = _search(sweep, count or sweep.config.get("run_cap"))
    return ["-m", *search, *sweep.base, *told, *(["resume=auto"] if resume else [])]


def _faults_of_metric(sweep: Sweep) -> list[str]:
    """A run tells the search its best ``val/<task.monitor>``, and nothing else."""
    single = [f"{n}={s['value']}" for n, s in sweep.parameters.items() if "value" in s]
    try:
        task = hydra_api.compose([*sweep.base, *single]).task
    except hydra_api.COMPOSITION_ERRORS:
        return []  # what is wrong is said when the jobs are checked
    metric = sweep.config["metric"]
    asked = metric["name"], GOALS[metric.get("goal", "minimize")]
    known = f"val/{task.monitor}", str(task.mode)
    if asked == known:
        return []
    return [
        f"metric: the sweep wants the {asked[1]} of {asked[0]!r}, a run here gives the {known[1]} "
        f"of {known[0]!r}; task.monitor and task.mode say so"
    ]


def _search(sweep: Sweep, count: int | None) -> list[str]:
    """What chooses the runs."""
    if sweep.method == "grid":
        return [] if count is None else [f"hydra.launcher.first={count}"]
    if count is None:
        raise ConfigFaults(
            f"how many runs? -n N, or run_cap in the file: {sweep.method} has no end"
        )
    search = [f"hydra.sweeper.method={sweep.method}", f"hydra.sweeper.trials={count}"]
    return ["hydra/sweeper=search", *search, *_pruning(sweep.config.get("early_terminate"))]


def _pruning(spec: Any) -> list[str]:
    """W&B's hyperband keeps the best 1/eta at min_iter, min_iter eta, ...: successive halving."""
    if not spec:
        return []
    known = isinstance(spec, Mapping) and all(key in _PRUNING for key in spec)
    if not known or spec.get("type") != "hyperband" or "min_iter" not in spec:
        raise ConfigFaults(
            "early_terminate: only type: hyperband with min_iter, and perhaps eta, has a "
            "counterpart here"
        )
    options = {"min_resource": spec["min_iter"], "reduction_factor": spec.get("eta", _ETA)}
    told = [f"+hydra.sweeper.pruner_options.{key}={value}" for key, value in options.items()]
    return ["hydra.sweeper.pruner=asha", *told]


def _searched(spec: Mapping[str, Any], *, grid: bool) -> str:
    """The value of an override.

    Raises:
        ValueError: it cannot be said in Hydra's words.
    """
    kind = spec.get("distribution") or _kind(spec)
    if kind not in _TRANSLATED:
        raise ValueError(unknown("distribution without a server", str(kind), _TRANSLATED))
    if kind in ("constant", "categorical"):
        return _one_of(spec)
    if not {"min", "max"} <= spec.keys():
        raise ValueError(f"{kind} goes from min to max")
    return (_counted if grid else _drawn)(str(kind), spec["min"], spec["max"], spec.get("q", 1))


def _counted(kind: str, low: float, high: float, step: float) -> str:
    if kind not in ("int_uniform", "q_uniform"):
        raise ValueError(f"a grid over {kind} has no end; list the values")
    return _range(low, high, 1 if kind == "int_uniform" else step)


def _drawn(kind: str, low: float, high: float, step: float) -> str:
    if kind == "int_uniform":
        return f"int(interval({int(low)},{int(high)}))"
    if kind == "q_uniform":
        return _range(low, high, step)
    if kind == "q_log_uniform_values":
        return _log_of_whole(low, high, step)
    if kind == "uniform":
        return f"interval({float(low)!r},{float(high)!r})"
    if kind == "log_uniform":  # min and max are exponents
        low, high = math.exp(low), math.exp(high)
    return f"tag(log,interval({float(low)!r},{float(high)!r}))"


def _kind(spec: Mapping[str, Any]) -> str:
    """The distribution that W&B takes where the file names none."""
    if "parameters" in spec:
        return "nested parameters"
    if "probabilities" in spec:
        return "categorical_w_probabilities"
    if "min" not in spec:
        return "categorical" if "values" in spec else "constant"
    whole = isinstance(spec["min"], int) and isinstance(spec.get("max"), int)
    return "int_uniform" if whole else "uniform"


def _one_of(spec: Mapping[str, Any]) -> str:
    """The very texts that W&B's agent would write."""
    return ",".join(str(value) for value in spec.get("values", [spec.get("value")]))


def _range(low: float, high: float, step: float) -> str:
    """Multiples of the step, from the first to the last that W&B would round to."""
    first, last = round(low / step), round(high / step)
    if not isinstance(step, int):
        return f"range({_exact(first, step)},{_exact(last, step) + step / 2!r},{step!r})"
    return f"range({first * step},{last * step + 1},{step})"


def _exact(times: int, step: float) -> float:
    return float(f"{times * step:.12g}")


def _log_of_whole(low: float, high: float, step: float) -> str:
    if step != 1 or round(low) < 1:
        raise ValueError("q_log_uniform_values has a counterpart only for q 1 and min from 1 on")
    return f"tag(log,int(interval({round(low)},{round(high)})))"
