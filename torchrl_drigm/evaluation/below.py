"""A team that has learned nothing, or something wrong: said, with what to try."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from torchrl_drigm.evaluation.measures import shown_measure
from torchrl_drigm.evaluation.methods import Config, read_config

__all__ = ["below_reference", "without_update"]

BARS = ("random", "do nothing")  # whoever is below has learned nothing, or something wrong


def below_reference(results: pd.DataFrame, learned: str, run_dir: str | Path) -> str | None:
    """What belongs under results of a team that is below a random one, or one that does nothing.

    What counts is the mean over all episodes of all shifts.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate_all`, of references too.
        learned: the team's ``policy``.
        run_dir: folder of its run, whose config says what could be changed.

    Returns:
        One line, or ``None`` where there is nothing to say: these references were not played, or
        the team is above them.

    Examples:
        >>> results = pd.DataFrame(
        ...     {"policy": ["TV QMIX", "random"], "shift": "nominal", "return": [-9.0, -3.0]}
        ... )
        >>> below_reference(results, "TV QMIX", "no run's folder").partition(": ")[0]
        "TV QMIX is below 'random' (raw return -9 and -3)"
    """
    column, measure = shown_measure(results)
    means = results.groupby("policy")[column].mean()
    bars = means[means.index.isin(BARS)]
    if bars.empty or not means[learned] < bars.max():
        return None
    return (
        f"{learned} is below {bars.idxmax()!r} ({measure} {means[learned]:.3g} and "
        f"{bars.max():.3g}): it has learned nothing, or something wrong{_remedies(run_dir)}."
    )


def without_update(run_dir: str | Path) -> str | None:
    """What belongs under results of a team that no update was made of, such as that of a short try.

    Args:
        run_dir: folder of its run.

    Returns:
        One line, or ``None`` where updates were made, or the folder is that of no run.
    """
    try:
        cfg = read_config(Path(run_dir))
        total, first = cfg["collector.total_frames"], cfg["collector.init_random_frames"]
        updates = cfg["optim.updates_per_batch"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if updates and total >= first:
        return None
    why = f"collector.total_frames={total} is below collector.init_random_frames={first}"
    return (
        f"No update was made, since {why if updates else 'optim.updates_per_batch=0'}: this is "
        "what a team does that has learned nothing."
    )


def _remedies(run_dir: str | Path) -> str:
    try:
        cfg = read_config(Path(run_dir))
    except (FileNotFoundError, ValueError):  # no run's folder: nobody knows what was done
        return ""
    changes = _changes(cfg)
    return f". Try {', '.join(changes[:-1])}, or {changes[-1]}" if changes else ""


def _changes(cfg: Config) -> list[str]:
    """What can be set to something else, beginning with what helps most often."""
    fields = {
        "optim.lr": "below",
        "env.reward_scale": "other than",
        "collector.total_frames": "above",
    }
    return ([] if cfg["mixer.name"] == "vdn" else ["mixer=vdn"]) + [
        f"{field} {how} {_number(cfg[field])}" for field, how in fields.items() if field in cfg
    ]


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
