"""Names of before, which still work for one release, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from torchrl_drigm.trainers.team import load_team


def play_noise_levels(
    run_dir: str | Path, stds: Iterable[float], episodes: int = 128, seed: int = 1000
) -> pd.DataFrame:
    """Deprecated: battles of a trained team under noise of several strengths.

    ``evaluate(load_team(run_dir), suite=[{"name": "0.75", "noise_std": 0.75}, ...])`` is the same.
    """
    from torchrl_drigm.evaluation import evaluate

    warnings.warn(
        "play_noise_levels is deprecated and will go with the next release: use "
        "evaluate(load_team(run_dir), suite=[{'name': ..., 'noise_std': ...}, ...]).",
        DeprecationWarning,
        stacklevel=2,
    )
    team, stds = load_team(run_dir), [float(std) for std in stds]
    visible_only = team.cfg.evaluation.visible_only
    suite = [{"name": f"{s}", "noise_std": s, "visible_only": visible_only} for s in stds]
    battles = evaluate(team, suite=suite, episodes=episodes, seed=seed)
    columns = ["episode", "won", "return", "steps"]
    return battles[columns].assign(std=battles["shift"].astype(float))
