"""Win rates of runs on StarCraft battles: reading and tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from torchrl_drigm.evaluation.methods import (
    describe_runs,
    leave_out_copies,
    read_config,
    warn_left_out,
)
from torchrl_drigm.evaluation.metrics import read_scalar
from torchrl_drigm.evaluation.settings import (
    find_settings,
    missing_controls,
    order_methods,
    rows_in_hindsight,
)
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["final_win_rates", "read_win_rates"]

TESTS = {"win_rate_noisy": "under noise", "win_rate_clean": "without noise (training)"}
_METHOD = ["method", "family", "setting", "mixer", "uncertainty", "rho"]


def read_win_rates(run_dirs: Iterable[str | Path]) -> pd.DataFrame:
    """Test win rates of runs of ``examples/smac_rqmix.py`` over training.

    Runs whose configs differ in the seed alone are one method. A warning names runs that are left
    out: never tested, with a damaged log or with fewer tests than the others, and a second copy of
    a method's seed.

    Args:
        run_dirs: folders of runs, or folders with runs at any depth.

    Returns:
        One row per run and evaluation, with the columns of
        :func:`~torchrl_drigm.evaluation.describe_runs`, ``frames``, ``win_rate_clean`` and
        ``win_rate_noisy``.

    Raises:
        FileNotFoundError: if a folder holds no run.
        ValueError: if no run is left.
    """
    left_out: dict[str, str] = {}
    tables: dict[str, pd.DataFrame] = {}
    for folder in map(Path, run_dirs):
        configs = [c for c in folder.rglob("config.yaml") if c.parent.name != ".hydra"]
        if not configs:
            raise FileNotFoundError(
                f"no config.yaml below {folder}: name folders of runs of smac_rqmix.py."
            )
        for run in sorted(config.parent for config in configs):
            try:
                tables[str(run)] = _read_run(run)
            except (OSError, ValueError) as error:
                left_out[str(run)] = str(error)
    most = max(map(len, tables.values()), default=0)
    for run in [run for run, table in tables.items() if len(table) < most]:
        left_out[run] = f"has {len(tables.pop(run))} of the {most} evaluations of other runs"
    if tables:
        described = leave_out_copies(describe_runs(tables), left_out)
    warn_left_out(left_out)
    if not tables:
        raise ValueError(
            "No run with test win rates is left: the warning says what each of them lacks. They "
            "come from smac_rqmix.py with logger=csv, once it has reached an evaluation."
        )
    rows = pd.concat([tables[run].assign(run=run) for run in described["run"]], ignore_index=True)
    return described.merge(rows, on="run")


def _read_run(run: Path) -> pd.DataFrame:
    """Test win rates over frames, if none of them is damaged."""
    describe_runs([run])  # refuses a config that cannot be read
    files = [run / "metrics" / "scalars" / f"{test}.csv" for test in sorted(TESTS)]
    if not all(file.exists() for file in files):
        raise ValueError("was never tested: it has no test win rates")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a torn file
        try:
            rates = pd.concat(map(read_scalar, files), axis=1).sort_index()
        except UserWarning as torn:
            raise ValueError(str(torn)) from torn
    if rates.empty:
        raise ValueError("was never tested: it has no test win rates")
    if rates.isna().any(axis=None):
        frames = rates.index[rates.isna().any(axis=1)][0]
        raise ValueError(f"lacks one of the two win rates at {frames} frames")
    return rates.reset_index()


def final_win_rates(win_rates: pd.DataFrame, last: int = 10) -> pd.DataFrame:
    """Win rates at the end of training: the mean of each run's last evaluations.

    Args:
        win_rates: rows of :func:`read_win_rates`.
        last: number of evaluations to average over.

    Returns:
        One row per method, with the number of runs ``n`` and, for ``clean`` and ``noisy``, mean
        and standard error over the runs (NaN of a single run, which has none).

    Example:
        >>> rows = pd.DataFrame({"run": ["a", "b"], "method": "nominal QMIX", "mixer": "qmix",
        ...     "family": "nominal QMIX", "setting": "QMIX", "uncertainty": "none", "rho": 0.0,
        ...     "seed": [0, 1], "frames": 10_000,
        ...     "win_rate_clean": [0.5, 0.7], "win_rate_noisy": [0.1, 0.3]})
        >>> final_win_rates(rows)[["method", "clean", "clean_se", "n"]].round(2)
                 method  clean  clean_se  n
        0  nominal QMIX    0.6       0.1  2
    """
    check_table("win_rates", win_rates, ["run", *_METHOD, "frames", *TESTS])
    runs = _final_of_runs(win_rates, last)
    return (
        runs.groupby(_METHOD, sort=False)
        .agg(
            clean=("win_rate_clean", "mean"),
            clean_se=("win_rate_clean", "sem"),
            noisy=("win_rate_noisy", "mean"),
            noisy_se=("win_rate_noisy", "sem"),
            n=("run", "size"),
        )
        .reset_index()
    )


def beside_controls(win_rates: pd.DataFrame, last: int = 10) -> tuple[pd.DataFrame, str | None]:
    """:func:`final_win_rates` with each robust method's controls below it, and what is missing.

    Args:
        win_rates: rows of :func:`read_win_rates`, whose runs' folders are still there.
        last: number of evaluations to average over.

    Returns:
        The table, with a row of the best discount in hindsight, chosen with noise and without it by
        itself; and what to print below of controls that are missing, or ``None``.
    """
    final = final_win_rates(win_rates, last)
    described = win_rates.drop_duplicates("run")[["run", *_METHOD, "seed"]]
    settings = find_settings(described, [read_config(Path(run)) for run in described["run"]])
    runs = _final_of_runs(win_rates, last).rename(columns={"method": "policy"})
    rows = runs.melt(["run", "policy"], [*TESTS], var_name="shift", value_name="won")
    seeds = dict(zip(described["run"], described["seed"], strict=True))
    best = rows_in_hindsight(rows, settings, seeds, "won")
    for method, chosen in best.groupby("policy", sort=False):
        row: dict[str, Any] = {"method": method, "n": chosen["run"].groupby(chosen["shift"]).size()}
        row["n"] = int(row["n"].min())
        for test, name in {"win_rate_clean": "clean", "win_rate_noisy": "noisy"}.items():
            values = chosen[chosen["shift"] == test]["won"]
            row |= {name: values.mean(), f"{name}_se": values.sem()}
        final = pd.concat([final, pd.DataFrame([row])], ignore_index=True)
    ordered = order_methods(list(final["method"]), settings)
    final = final.set_index("method").reindex([m for m in ordered if m in set(final["method"])])
    names = {method: name for setting in settings for method, name in setting.names.items()}
    return final.rename(index=names).reset_index(), missing_controls(settings)


def _final_of_runs(win_rates: pd.DataFrame, last: int) -> pd.DataFrame:
    ends = win_rates.sort_values("frames").groupby("run", sort=False).tail(last)
    return ends.groupby(["run", *_METHOD], sort=False)[[*TESTS]].mean().reset_index()
