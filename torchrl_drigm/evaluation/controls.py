"""What a robust result has to be compared with: nominal training with other discounts.

Contamination with a constant worst value *is* nominal training with the discount γ(1-ρ), and total
variation is that beside its robustness proper. A robust run is therefore judged beside its
controls: nominal runs that differ in the uncertainty set and the discount alone. They lie in its
own folder, ``RUN/controls/<name>``, each an ordinary run.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from torchrl_drigm.evaluation.methods import (
    CONTROLS,
    Config,
    flat_config,
    method_of,
    read_config,
)

__all__ = [
    "FACTORS",
    "HINDSIGHT",
    "best_in_hindsight",
    "control_configs",
    "control_discounts",
    "control_note",
    "finished_controls",
    "has_controls",
]

#: Discounts of the grid, in units of the run's own: what contamination of ρ = 0, 0.05, 0.1, 0.3 and
#: 0.5 would make of it, the sizes that are in use. A discount of 0 is none of them: all actions tie
#: then that earn nothing at once, and the first of them can look robust.
FACTORS = (1.0, 0.95, 0.9, 0.7, 0.5)
HINDSIGHT = "best discount, in hindsight"
SHOWN_COMMANDS = 10

_NOT_ROBUST = ("none", "group_dr")  # the latter is nominal training, on other rewards
_NAMES = ("env.name", "env.make", "mixer.name", "uncertainty.name")
GAMMA = "optim.gamma"


def has_controls(cfg: DictConfig | Config) -> bool:
    """Whether a config is that of a run with an uncertainty set, and with a discount above 0.

    Args:
        cfg: the composed config, or its fields by their dotted names.
    """
    flat = flat_config(cfg)
    return flat["uncertainty.name"] not in _NOT_ROBUST and (flat.get(GAMMA) or 0) > 0


def control_discounts(cfg: DictConfig | Config) -> dict[float, str]:
    """The discounts of a robust run's controls, and what tables call them.

    γ(1-ρ) is among them where ρ is a share of probability, as that of contamination, total
    variation and CVaR; the radius of a ball is none.

    Args:
        cfg: the composed config, or its fields by their dotted names.

    Raises:
        ValueError: for a config that trains with no uncertainty set, or with a discount of 0.

    Examples:
        >>> cfg = {"uncertainty.name": "tv", "uncertainty.rho": 0.2, "optim.gamma": 0.99}
        >>> list(control_discounts(cfg).values())[:4]
        ['γ = 0.99', 'γ = 0.9405', 'γ = 0.891', 'γ(1-ρ) = 0.792']
    """
    flat = flat_config(cfg)
    name, gamma, rho = flat["uncertainty.name"], flat[GAMMA], flat.get("uncertainty.rho")
    if name in _NOT_ROBUST:
        raise ValueError(
            f"uncertainty.name={name!r} has no controls: they are what robust training is compared "
            "with. Name the folder of a run with an uncertainty set."
        )
    if gamma <= 0:
        raise ValueError(
            f"optim.gamma={gamma} has no controls: a share of it is 0 as well, and with a discount "
            "of 0 all actions tie that earn nothing at once. Train with a discount above 0."
        )
    labels = {rounded(gamma * factor): "γ" for factor in FACTORS}
    if rho is not None and rho < 1 and _is_share(name):
        labels[rounded(gamma * (1 - rho))] = "γ(1-ρ)" if rho else "γ"
    return {gamma: f"{labels[gamma]} = {gamma:g}" for gamma in sorted(labels, reverse=True)}


def control_configs(cfg: DictConfig) -> dict[str, DictConfig]:
    """The configs of a robust run's controls, by the names of their folders.

    All but the uncertainty set and the discount is as in the run's own config, the seed too.

    Args:
        cfg (DictConfig): the run's config, composed or read from its folder.

    Raises:
        ValueError: as :func:`control_discounts`.

    Examples:
        >>> from torchrl_drigm.config import compose_config
        >>> controls = control_configs(compose_config("uncertainty=tv", "uncertainty.rho=0.2"))
        >>> list(controls)
        ['gamma_0.99', 'gamma_0.9405', 'gamma_0.891', 'gamma_0.792', 'gamma_0.693', 'gamma_0.495']
        >>> controls["gamma_0.792"].uncertainty, controls["gamma_0.792"].optim.gamma
        ({'name': 'none'}, 0.792)
    """
    configs = {}
    for gamma in control_discounts(cfg):
        control = OmegaConf.create(OmegaConf.to_container(cfg))  # of no type, as one of a file
        control.uncertainty = {"name": "none"}
        control.optim.gamma = gamma
        control.resume = None
        configs[f"gamma_{gamma:g}"] = control
    return configs


def finished_controls(run_dir: str | Path) -> dict[str, Path]:
    """Folders of those controls of a robust run that have their results, by discount's label.

    Args:
        run_dir (str or Path): folder of the robust run.

    Raises:
        ValueError: as :func:`control_discounts`, or for a config that cannot be read.
        FileNotFoundError: if there is no config.
    """
    run_dir = Path(run_dir)
    read_config(run_dir)  # errors with their reasons
    cfg = OmegaConf.load(run_dir / "config.yaml")
    labels, configs = control_discounts(cfg).values(), control_configs(cfg)
    folders = {
        label: run_dir / CONTROLS / name for label, name in zip(labels, configs, strict=True)
    }
    expected = dict(zip(labels, configs.values(), strict=True))
    return {
        label: folder
        for label, folder in folders.items()
        if _has_results(folder) and _same(read_config(folder), expected[label])
    }


def control_note(*run_dirs: str | Path) -> str | None:
    """What belongs under robust results without all of their controls; ``None`` if nothing does.

    Args:
        *run_dirs (str or Path): folder of the run, or of each of them.
    """
    lacking = {run_dir: told for run_dir in run_dirs if (told := _lacks(run_dir)) is not None}
    if not lacking:
        return None
    if len(run_dirs) > 1:
        return missing_note(list(lacking))
    ((run_dir, missing),) = lacking.items()
    return (
        f"{missing}: what nominal training with other discounts gives, which may explain this "
        f"result. It is made by\n  {control_command(run_dir)}"
    )


def _lacks(run_dir: str | Path) -> str | None:
    """Which controls a run's folder lacks, as the beginning of a sentence."""
    try:
        config = read_config(Path(run_dir))
        if not has_controls(config):
            return None
        n, there = len(control_discounts(config)), len(finished_controls(run_dir))
    except (FileNotFoundError, ValueError, KeyError):  # no run's folder, or of something else
        return None
    if there == n:
        return None
    return "The control is missing" if not there else f"{n - there} of {n} controls are missing"


def missing_note(run_dirs: Sequence[str | Path]) -> str:
    """What belongs under a table of several robust runs that lack controls."""
    commands = [f"  {control_command(run)}" for run in run_dirs[:SHOWN_COMMANDS]]
    more = len(run_dirs) - len(commands)
    return "\n".join(
        [
            "Controls are missing: what nominal training with other discounts gives, which may "
            "explain these results. They are made by",
            *commands,
            *([f"  and so for {more} more runs"] if more else []),
        ]
    )


def control_command(run_dir: str | Path) -> str:
    """The command that makes the controls of a run."""
    words = ["python", "-m", "torchrl_drigm", "evaluate", str(run_dir), "--controls"]
    for module in own_modules(read_config(Path(run_dir))):
        words += ["--import", module]
    return shlex.join(words)


def own_modules(cfg: DictConfig | Config) -> list[str]:
    """Modules outside of this package and TorchRL that a config names classes of.

    Examples:
        >>> own_modules({"env.make": "my_module:make_env", "mixer.name": "mixers.own.Mixer"})
        ['my_module', 'mixers.own']
    """
    flat = flat_config(cfg)
    named = [str(flat[field]) for field in _NAMES if field in flat]
    modules = dict.fromkeys(name.replace(":", ".").rpartition(".")[0] for name in named)
    return [m for m in modules if m and m.partition(".")[0] not in ("torchrl", "torchrl_drigm")]


def best_in_hindsight(
    results: pd.DataFrame, controls: Iterable[str], column: str, label: str = HINDSIGHT
) -> pd.DataFrame:
    """In each shift the rows of the control that is best there, as rows of one more policy.

    No team could have been chosen so, since the shift would have to be known: it is the strongest
    control that there can be. Being the largest of several means, it is too good by their noise.

    Args:
        results: rows with the columns ``policy``, ``shift`` and ``column``.
        controls: which policies to take the best of.
        column: what is the larger the better.
        label: what the rows are called in ``policy``.

    Returns:
        Rows as those of ``results``; none without controls.

    Examples:
        >>> rows = pd.DataFrame({"policy": ["long", "short"] * 2, "shift": ["a", "a", "b", "b"],
        ...                      "return": [1.0, 2.0, 4.0, 3.0]})
        >>> best_in_hindsight(rows, ["long", "short"], "return")["return"].tolist()
        [2.0, 4.0]
    """
    own = results[results["policy"].isin(list(controls))]
    # as numbers: whether a battle was won is a flag
    means = own.astype({column: float}).groupby(["shift", "policy"], sort=False)[column].mean()
    best = set(means.groupby("shift", sort=False).idxmax()) if len(means) else set()
    chosen = [key in best for key in zip(own["shift"], own["policy"], strict=True)]
    return own[chosen].assign(policy=label)


def rounded(gamma: float) -> float:
    """A discount that reads well: 0.7 × 0.99 is no 0.693 in binary numbers."""
    return float(f"{gamma:.6g}")


def _is_share(name: str) -> bool:
    """Whether the size of a set is a share of probability."""
    # here, as they import PyTorch
    from torchrl_drigm.uncertainty import find_set
    from torchrl_drigm.uncertainty.base import check_radius

    try:
        found = find_set(name, may_import=False)
    except ValueError:  # of a module that was not imported: nobody knows
        return False
    return "rho" in found.field_names() and found.check_size is not check_radius


def _has_results(folder: Path) -> bool:
    names = ("evaluation.csv", "win_rates.csv")
    return (folder / "config.yaml").exists() and any((folder / name).exists() for name in names)


def _same(config: Config, expected: DictConfig) -> bool:
    """Whether a config is that of the same run, of as many steps and as the same evaluation."""
    wanted = flat_config(expected)
    return method_of(config) == method_of(wanted) and config["seed"] == wanted["seed"]
