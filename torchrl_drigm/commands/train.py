"""Train a team, judge it, and leave everything in the run's folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from torchrl_drigm._users import UsersError
from torchrl_drigm.commands._many_zones import mixer_for_zones
from torchrl_drigm.commands._members import StackError, stack_overrides
from torchrl_drigm.commands._places import has_results
from torchrl_drigm.commands.command_line import CONFIGS, command_line

__all__ = ["HELP", "main", "train"]

HELP = "train a team, from a config and overrides of its fields"

_USAGE = """usage: python -m torchrl_drigm train CONFIG [FIELD=VALUE ...] [-m] [--help]

Trains a team, judges it, and leaves config, metrics, checkpoint, results and plots in a folder of
its own below runs/CONFIG (another one: hydra.run.dir=FOLDER).

configs:
{configs}

  python -m torchrl_drigm train building mixer=vdn uncertainty=tv uncertainty.rho=0.1
  python -m torchrl_drigm train building -m hydra/launcher=joblib mixer=vdn,qmix seed=0,1,2
  python -m torchrl_drigm train building runs=16         16 seeds at once, in one process
  python -m torchrl_drigm train building 'seed=[0,1,2]' 'uncertainty.rho=[0,0.1,0.3]'
  python -m torchrl_drigm train building resume=runs/building/...
  python -m torchrl_drigm train building --help          every field of that config
  python -m torchrl_drigm train my_config --config-dir=folder    a config of your own
  python -m torchrl_drigm train torchrl env=my_env --config-dir=folder    a choice of your own"""


def configs() -> list[str]:
    """Names of the package's configs."""
    folder = resources.files(CONFIGS)
    return sorted(
        Path(file.name).stem for file in folder.iterdir() if Path(file.name).suffix == ".yaml"
    )


def main(arguments: Sequence[str]) -> None:
    """Hand config name and overrides to Hydra."""
    if not arguments or arguments[0] in ("-h", "--help"):
        about = "\n".join(f"  {name:10s} {_first_line(name)}" for name in configs())
        print(_USAGE.format(configs=about))
        if not arguments:
            raise SystemExit(2)
        return
    name, *overrides = arguments
    if name not in configs() and not any(o.startswith(("--config-dir", "-cd")) for o in overrides):
        print(
            f"{name!r} is no config; there are: {', '.join(configs())}. One of your own needs "
            "--config-dir=FOLDER.",
            file=sys.stderr,
        )
        raise SystemExit(2)
    if not any(override.startswith("hydra.job.name=") for override in overrides):
        overrides.append(f"hydra.job.name={name}")
    # Hydra's parser takes overrides in one piece only, without an option in between
    fields = [w for w in overrides if ("=" in w or w[0] == "~") and not w.startswith("-")]
    options = [word for word in overrides if word not in fields]
    if "-m" not in options and "--multirun" not in options:
        fields = [_in_quotes(word) for word in fields]
    fields = mixer_for_zones(name, stack_overrides(fields), _config_dir(options))
    sys.argv = [f"python -m torchrl_drigm train {name}", *fields, *options]
    command_line(name)(train)()


def _in_quotes(override: str) -> str:
    """An override in which a folder's name may have commas, as those of a stack's runs have.

    Examples:
        >>> _in_quotes("resume=runs/seed_0,rho_0.1"), _in_quotes("seed=1"), _in_quotes("resume='a'")
        ("resume='runs/seed_0,rho_0.1'", 'seed=1', "resume='a'")
    """
    name, _, value = override.partition("=")
    is_folder = name in ("resume", "hydra.run.dir")
    return f"{name}='{value}'" if is_folder and re.fullmatch(r"[\w./:+,=~-]+", value) else override


def _config_dir(options: Sequence[str]) -> str | None:
    """The folder of configs of one's own, as Hydra's options name it."""
    for place, option in enumerate(options):
        name, _, value = option.partition("=")
        if name in ("--config-dir", "-cd"):
            return value or next(iter(options[place + 1 :]), None)
    return None


def _first_line(name: str) -> str:
    text = resources.files(CONFIGS).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return text.splitlines()[0].lstrip("# ").partition(" Every field")[0]


def train(cfg: DictConfig) -> None:
    """Run in the folder that Hydra names.

    What code of the user's own raises is told by its lines, as it is before the folder is made, and
    what ends a stack by its message; in a sweep it is left to Hydra, which goes on with the others.
    """
    try:
        _train(cfg)
    except (UsersError, StackError) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        print(f"{error.trace}{error}", file=sys.stderr)
        raise SystemExit(1) from error


def _train(cfg: DictConfig) -> None:
    if cfg.get("map_name") is not None:
        cfg.env.map_name = cfg.map_name
    folder = HydraConfig.get().runtime.output_dir
    if "stack" not in cfg and has_results(cfg, folder):
        print(f"{folder} has its results already.")
        return
    # not before: these import PyTorch, and the config was checked without it
    from torchrl_drigm.commands._runs import train_run
    from torchrl_drigm.commands._stacks import train_stack

    if "stack" in cfg:
        train_stack(cfg, folder)
    else:
        train_run(cfg, folder)
