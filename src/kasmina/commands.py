"""The commands beside training: ``eval``, ``report``, ``ablate``, ``sweep``, ``list``, ..."""

import logging
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from kasmina import hydra_api
from kasmina.faults import UsageFaults
from kasmina.usage import Parser, one_of

_OVERVIEW = """\
kasmina: networks that grow, prune and adapt their own topology while they train.

usage:
  kasmina [overrides]          train, as the config says
  kasmina ablate NAME          plan, run and report a named comparison
  kasmina eval RUN             metrics of a saved network
  kasmina probe RUN            what each slot and blueprint promises, by one gradient
  kasmina attribute RUN        what each grown seed has brought
  kasmina report RUN...        one HTML file about one run or several
  kasmina list WHAT            hosts, blueprints, sites, controllers, ablations, runs, ...
  kasmina check [overrides]    hold the contract against blueprints, your own included
  kasmina sweep FILE           a W&B sweep, with its server or --local without
  kasmina bench                what growth costs on this machine, in time and memory

examples:
  kasmina experiment=digits_grow
  kasmina trainer.max_epochs=30 blueprint=[se,conv_light] controller=biggest
  kasmina -m controller=none,random,heuristic seed=1,2    one run a combination
  kasmina -m controller=none,random seed=1,2 resume=auto  what is missing of the same
  kasmina -m hparams_search=optuna optimizer.lr='interval(0.001,0.01)'    a search
  kasmina ablate incubation --plan                        what it would run, and for how long
  kasmina resume=runs/default/2026-01-01_12-00-00-000000  go on with a run
  kasmina experiment=digits_grow debug=fast_dev_run       try it in seconds

flags:
  -m, --multirun       run every combination of values that are separated by commas
  -c, --cfg job        show the config instead of running (--resolve: references filled in)
  -cd, --config-dir    one more folder of configs; also KASMINA_CONF, and ./conf by itself
  --info, --hydra-help, --shell-completion    Hydra's own
  --version

config groups, each with the options that it has here:
{groups}

A mistake is named before anything is built. `kasmina COMMAND --help` says more."""

Answer = Callable[[Namespace], None]


def overview() -> str:
    """The text of ``kasmina --help``."""
    with hydra_api.composer():
        rows = [(group, ", ".join(hydra_api.options(group))) for group in hydra_api.groups()]
    width = max(len(group) for group, _ in rows)
    return _OVERVIEW.format(groups="\n".join(f"  {g:<{width}}  {options}" for g, options in rows))


def run(arguments: list[str]) -> None:
    """Answer a command.

    Raises:
        UsageFaults: arguments that cannot be read, or a folder that is no run's.
    """
    make, answer = _command(arguments[0])
    known = make().read(arguments[1:])
    try:
        answer(known)
    except (ValueError, FileNotFoundError) as error:
        if isinstance(error, UsageFaults):
            raise
        raise UsageFaults(str(error)) from error


def _command(name: str) -> tuple[Callable[[], Parser], Answer]:
    if name in _COMMANDS:
        return _COMMANDS[name]
    module = import_module(_MODULES[name])
    return module.parser, module.answer


def _eval_parser() -> Parser:
    parser = Parser(
        prog="kasmina eval",
        description="Metrics of a saved network, rebuilt as its run recorded it.",
        epilog="examples:\n  kasmina eval runs/default/2026-01-01_12-00-00-000000\n"
        "  kasmina eval ckpt=runs/default/2026-01-01_12-00-00-000000/checkpoints/last.ckpt\n"
        "  kasmina eval RUN --split test",
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder, or ckpt=FILE")
    parser.add_argument(
        "--split",
        type=one_of("split", ("validation", "test")),
        default="validation",
        help="validation (default) or test",
    )
    return parser


def _eval(known: Namespace) -> None:
    from kasmina.evaluate import evaluate

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for name, value in evaluate(Path(known.run.removeprefix("ckpt=")), known.split).items():
        print(f"{name:<24} {value:.6g}")


def _report_parser() -> Parser:
    parser = Parser(
        prog="kasmina report",
        description="One self-contained HTML file about one run or several, and its pictures.",
        epilog="examples:\n  kasmina report runs/default/2026-01-01_12-00-00-000000\n"
        "  kasmina report multirun/default/2026-01-01_12-00-00-000000 --out compared\n"
        "  kasmina report multirun/default/* --baseline controller=none",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's or a multirun's folder")
    parser.add_argument(
        "--out", type=Path, help="folder of the report (default: the folder that they share)"
    )
    parser.add_argument(
        "--baseline",
        metavar="LABEL",
        help="configuration that the others are compared with: its label, or a part of it",
    )
    return parser


def _report(known: Namespace) -> None:
    from kasmina.report import write_report

    runs = [Path(run) for run in known.runs]
    print(write_report(runs, out=known.out, baseline=known.baseline))


def _list_parser() -> Parser:
    from kasmina.listing import LISTS, runs

    told = {**LISTS, "runs": runs}
    rows = "\n".join(
        f"  {name:<12} {(answer.__doc__ or '').partition(chr(10))[0]}"
        for name, answer in told.items()
    )
    parser = Parser(
        prog="kasmina list",
        description=f"What can be chosen here.\n\n{rows}",
        epilog="examples:\n  kasmina list blueprints\n"
        "  kasmina list sites experiment=stdlib_text_grow\n"
        "  kasmina list runs multirun 'val/accuracy>0.9' optimizer.lr=0.003 --sort best:desc",
    )
    names = [*LISTS, "runs"]
    parser.add_argument("what", metavar="WHAT", type=one_of("list", names), help=", ".join(names))
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        help="of the config, for sites; folders and conditions, for runs",
    )
    parser.add_argument("--sort", metavar="KEY", help="of runs; KEY:desc from the largest")
    parser.add_argument("--columns", metavar="KEY,...", help="of runs; further keys to show")
    return parser


def _list(known: Namespace) -> None:
    from kasmina.listing import LISTS, runs

    if known.what == "runs":
        columns = known.columns.split(",") if known.columns else []
        runs(known.overrides, sort=known.sort, columns=columns)
    elif known.sort or known.columns:
        raise UsageFaults(f"--sort and --columns are for runs, and this lists {known.what}")
    else:
        LISTS[known.what](known.overrides)


def _check_parser() -> Parser:
    parser = Parser(
        prog="kasmina check",
        description="Hold the contract that every blueprint keeps against the chosen ones: shape,\n"
        "identity at birth, live gradient, dtype, memory format, pickling, torch.compile.",
        epilog="examples:\n  kasmina check blueprint=mine\n"
        "  kasmina check blueprint=[mlp,lora] blueprint.lora.rank=2",
    )
    parser.add_argument("overrides", nargs="*", default=[], help="of the config")
    return parser


def _check(known: Namespace) -> None:
    from kasmina.listing import check_blueprints

    check_blueprints(known.overrides)


_COMMANDS: dict[str, tuple[Callable[[], Parser], Answer]] = {
    "check": (_check_parser, _check),
    "eval": (_eval_parser, _eval),
    "list": (_list_parser, _list),
    "report": (_report_parser, _report),
}
_MODULES = {
    "ablate": "kasmina.ablate",
    "attribute": "kasmina.attribute",
    "bench": "kasmina.benchmark",
    "probe": "kasmina.probing",
    "sweep": "kasmina.wandb_sweep",
}
"""Commands that are a module each, with a ``parser`` and an ``answer``."""
