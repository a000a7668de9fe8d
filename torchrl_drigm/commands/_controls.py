"""The controls of a robust run: trained in its folder, and loaded as teams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchrl_drigm.commands._checks import check_controls
from torchrl_drigm.commands._runs import train_runs
from torchrl_drigm.evaluation.controls import (
    control_configs,
    control_discounts,
    finished_controls,
)
from torchrl_drigm.evaluation.methods import CONTROLS, name_of
from torchrl_drigm.trainers import Team, load_team
from torchrl_drigm.trainers.runs import read_config, read_duration

__all__ = ["load_controls", "train_controls"]


def train_controls(run_dir: Path, jobs: int = 1, modules: Sequence[str] = ()) -> dict[str, Path]:
    """Train what is missing of a robust run's controls; see :mod:`..evaluation.controls`.

    Args:
        run_dir (Path): folder of the robust run.
        jobs (int): runs at a time.
        modules (sequence of str): modules of one's own, which further processes import.

    Returns:
        dict: folder of each control by the label of its discount.

    Raises:
        FileNotFoundError: if there is no run in the folder.
        ValueError: if the run has no controls or has not ended, or its config names a class of a
            module that was not imported.
    """
    cfg = read_config(run_dir)
    check_controls(cfg, run_dir)
    labels, configs = control_discounts(cfg).values(), control_configs(cfg)
    runs = {run_dir / CONTROLS / name: control for name, control in configs.items()}
    noted = read_duration(run_dir)
    known = noted is not None and noted["steps"] > 0
    train_runs(
        runs,
        jobs,
        modules,
        noted["seconds"] / noted["steps"] * cfg.collector.total_frames if known else None,
    )
    return dict(zip(labels, runs, strict=True))


def load_controls(run_dir: Path, folders: dict[str, Path] | None, device: str) -> dict[str, Team]:
    """Teams of a run's controls, the largest discount first, by what tables call them.

    Args:
        run_dir (Path): folder of the robust run.
        folders (dict, optional): folders by label, of :func:`train_controls`. Default: those that
            have their results.
        device (str): where they act.
    """
    folders = finished_controls(run_dir) if folders is None else folders
    teams = {label: load_team(folder, device=device) for label, folder in folders.items()}
    return {f"{name_of(team.cfg)}, {label}": team for label, team in teams.items()}
