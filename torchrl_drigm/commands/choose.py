"""Choose ρ, or any other field, in shifts of validation."""

from __future__ import annotations

import argparse
import textwrap
import time
from importlib import import_module
from pathlib import Path

from torchrl_drigm.commands._checks import check_at_least, check_out, check_seed, path_of
from torchrl_drigm.commands._many_zones import mixer_for_zones
from torchrl_drigm.commands._refusals import refuse_config
from torchrl_drigm.commands._sweeps import Sweep, check_sweep, read_sweep
from torchrl_drigm.commands._validation import VALIDATION, read_validation
from torchrl_drigm.commands.train import configs
from torchrl_drigm.evaluation.controls import own_modules
from torchrl_drigm.evaluation.measures import SCORES
from torchrl_drigm.tasks._outlines import outline_of
from torchrl_drigm.trainers.runs import locate_run

__all__ = ["HELP", "add_arguments", "main"]

HELP = "choose ρ, or any other field: train each value, judge it in shifts of validation"

_EXAMPLES = """examples:
  python -m torchrl_drigm choose building uncertainty=tv uncertainty.rho=0.1,0.2,0.3 seed=0,1
  python -m torchrl_drigm choose building uncertainty=none optim.gamma=0.99,0.9,0.7 seed=0,1
      the discount of the control, tuned alike
  python -m torchrl_drigm choose torchrl uncertainty.rho=0.01,0.05 --validate my.yaml --jobs 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    about = (
        "Trains every value with every seed, each as an ordinary run, plays all of them in shifts "
        "that no test has, and writes down which value is best: a table, choice.png, and "
        "choice.yaml with the command that trains with it. Shifts that a test suite of the task "
        "or evaluation.suite has are refused, whatever they are called. Runs that are done stay, "
        "runs that were stopped go on, and values and seeds may be added, in the same --out. Train "
        "what is to be tested with seeds of its own, as the chosen value suits those of the choice."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # of the examples
    parser.description = textwrap.fill(about, 78)
    parser.epilog = _EXAMPLES
    parser.add_argument("config", help="name of a config, as of train")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="FIELD=VALUE",
        help="overrides as of train; one field has several values (rho=0.1,0.3), and seed may",
    )
    parser.add_argument(
        "--validate",
        metavar="SUITE",
        default=VALIDATION,
        help="name of a suite, or a YAML file with shifts (validation)",
    )
    parser.add_argument(
        "--score",
        choices=SCORES,
        default="mean",
        help="what is best: the mean over the shifts of the mean over the seeds, or the worst "
        "shift's mean over the seeds (mean)",
    )
    parser.add_argument("--episodes", type=int, default=50, help="episodes in each shift (50)")
    parser.add_argument(
        "--episode-seed", type=int, default=12, help="of the episodes; tests have 11 (12)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument(
        "--out",
        type=path_of,
        help="folder of the sweep (runs/CONFIG/choose_TIME); name it to go on",
    )
    parser.add_argument("--config-dir", help="folder of configs of your own, as of train")


def main(arguments: argparse.Namespace) -> None:
    """Train, judge, choose and write it down."""
    sweep, folder = _checked(arguments)
    # not before: it imports PyTorch
    from torchrl_drigm.commands._choice import choose

    choose(arguments, sweep, folder)


def _checked(arguments: argparse.Namespace) -> tuple[Sweep, Path]:
    """The sweep and its folder, if nothing is wrong that can be known without PyTorch."""
    check_at_least("--episodes", arguments.episodes, 1)
    check_seed("--episode-seed", arguments.episode_seed)
    check_at_least("--jobs", arguments.jobs, 1)
    check_out(arguments.out)
    if arguments.config_dir is None and arguments.config not in configs():
        raise ValueError(
            f"{arguments.config!r} is no config; there are: {', '.join(configs())}. One of your "
            "own needs --config-dir=FOLDER."
        )
    if arguments.config_dir is not None and not Path(arguments.config_dir).is_dir():
        raise ValueError(f"--config-dir={arguments.config_dir}: there is no such folder.")
    overrides = mixer_for_zones(arguments.config, arguments.overrides, arguments.config_dir)
    sweep = read_sweep(arguments.config, overrides, arguments.config_dir)
    name = f"choose_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    folder = arguments.out or Path("runs") / sweep.config / name
    if (folder / "config.yaml").exists():
        raise ValueError(f"--out={folder} is the folder of a run: name another one for the sweep.")
    check_sweep(sweep, folder)
    runs = sweep.runs(folder).values()
    for run, cfg in runs:
        refuse_config(cfg)
        locate_run(cfg, run)
        if (outline := outline_of(cfg.env)) is not None:
            read_validation(outline, arguments.validate)
    modules = [module for _, cfg in runs for module in own_modules(cfg)]
    for module in dict.fromkeys([*arguments.modules, *modules]):
        import_module(module)  # named on the command line, and not by a folder
    return sweep, folder
