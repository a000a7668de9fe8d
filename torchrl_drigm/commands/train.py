"""Train a team, judge it, and leave everything in the run's folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torchrl import logger as torchrl_logger

from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import (
    RESULTS,
    WIN_RATES,
    evaluate_all,
    report_returns,
    report_win_rates,
    training_curve,
)
from torchrl_drigm.trainers import build, claim_run, is_done

__all__ = ["HELP", "main", "train"]

CONFIGS = "torchrl_drigm.config"
HELP = "train a team, from a config and overrides of its fields"

_USAGE = """usage: python -m torchrl_drigm train CONFIG [FIELD=VALUE ...] [-m] [--help]

Trains a team, judges it, and leaves config, metrics, checkpoint, results and plots in a folder of
its own below runs/CONFIG (another one: hydra.run.dir=FOLDER).

configs:
{configs}

  python -m torchrl_drigm train building mixer=vdn uncertainty=tv uncertainty.rho=0.1
  python -m torchrl_drigm train building -m hydra/launcher=joblib mixer=vdn,qmix seed=0,1,2
  python -m torchrl_drigm train building resume=runs/building/.../checkpoint
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
    sys.argv = [f"python -m torchrl_drigm train {name}", *fields, *options]
    hydra.main(version_base=None, config_path=f"pkg://{CONFIGS}", config_name=name)(train)()


def _first_line(name: str) -> str:
    text = resources.files(CONFIGS).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return text.splitlines()[0].lstrip("# ").partition(" Every field")[0]


def train(cfg: DictConfig) -> None:
    """Run in a folder that no other run writes into, unless its results are there already."""
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(cfg.threads)
    torch.manual_seed(cfg.seed)
    if cfg.get("map_name") is not None:
        cfg.env.map_name = cfg.map_name
    results = WIN_RATES if "interval" in cfg.evaluation else RESULTS
    with claim_run(cfg, HydraConfig.get().runtime.output_dir) as (run_dir, resume):
        if is_done(cfg, run_dir, results):  # a sweep again
            print(f"{run_dir} has its results already.")
        else:
            _run(cfg, run_dir, resume, results)


def _run(cfg: DictConfig, run_dir: Path, resume: Path | None, results: str) -> None:
    start = time.perf_counter()
    run = build(cfg, run_dir, resume)
    (run_dir / results).unlink(missing_ok=True)  # of fewer steps
    run.train()
    frames, trained = run.trainer.collected_frames, time.perf_counter()
    if results == WIN_RATES:
        files = report_win_rates(cfg, run_dir, frames)
    else:
        name = name_of(cfg)
        policies = {name: run.team}
        policies |= {label: make() for label, make in run.task.references.items()}
        test = cfg.evaluation
        played = evaluate_all(
            policies, run.task, test.suite, episodes=test.episodes, seed=test.seed
        )
        files = report_returns(played, run_dir, name)
        files += training_curve(cfg, run_dir, frames)
    print(f"\nTrained in {trained - start:.0f} s, in all {time.perf_counter() - start:.0f} s.")
    print(f"Left in {run_dir}:", *(f"  {file}" for file in files), sep="\n")
