"""Evaluations of several runs, as one table over their seeds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from pandas.api.types import is_numeric_dtype

from torchrl_drigm.config.added import ADDED
from torchrl_drigm.envs import BuildingParameters
from torchrl_drigm.evaluation.environments import find_runs, group_by_environment
from torchrl_drigm.evaluation.measures import shown_measure
from torchrl_drigm.evaluation.methods import (
    describe_runs,
    leave_out_copies,
    read_config,
    tell_apart,
    warn_left_out,
    warn_versions,
)
from torchrl_drigm.evaluation.settings import (
    Setting,
    find_settings,
    missing_controls,
    order_methods,
    rows_in_hindsight,
    shown_controls,
)
from torchrl_drigm.tasks import Task, make_task

__all__ = ["compare_each", "compare_runs"]

_LEARNED = "learned"  # what the learned policy is called while several runs are read
_COLUMNS = ["policy", "shift", "return"]
KEYS = ("policy", "suite", "shift", "axis", "level", "location")
# What the returns of a policy that does not learn depend on.
_JUDGED_ON = ("env.building", "env.n_action_levels", "evaluation.suite", "evaluation.episodes")
_JUDGED_ON = (*_JUDGED_ON, "evaluation.seed")
_JUDGED_ON += tuple(f"env.{name}" for name in BuildingParameters.names())


def compare_runs(folders: Iterable[str | Path], suite: str | None = None) -> pd.DataFrame:
    """Means over the episodes of every run's evaluation, for :func:`summarize`.

    Runs whose configs differ in the seed alone are one method. A warning names runs that are left
    out: without an evaluation or a config, with an evaluation that is damaged or shorter than it
    should be or than that of the others, and a second copy of a method's seed. Another one names
    runs that were judged in different versions of the environment.

    Args:
        folders: folders of runs, or with runs at any depth.
        suite: of the evaluations to compare, ``evaluation_SUITE.csv``, or those that runs end with
            if they are of that suite. Default: those that runs end with.

    Returns:
        One row per method, run and shift, with the columns ``policy`` (the method), ``shift``,
        ``suite`` (where runs name it), ``axis`` and ``level`` (where it
        has them), ``location`` (of buildings), ``return``, ``run``, ``seed``
        and, if all tasks have one, ``normalized_return``.
        A robust method is followed by its controls, nominal methods that differ in the set and the
        discount alone, wherever their runs lie, and by the best of these in hindsight: in each
        shift the discount with the best mean over the robust runs' seeds. One that lacks controls
        is marked, and ``attrs["missing_controls"]`` says how to make them; ``attrs["controls"]``
        has the names of those that are there, by robust method. Reference policies come last, one
        run of each: they do not depend on the seed.

    Raises:
        FileNotFoundError: a folder holds no run.
        ValueError: no run is left, or they are of different environments.
    """
    compared = compare_each(folders, suite)
    if len(compared) > 1:
        one, other = ((label, table["run"].iloc[0]) for label, table in [*compared.items()][:2])
        raise ValueError(
            f"runs of {len(compared)} environments do not belong into one table: {one[1]} is of "
            f"{one[0]}, and {other[1]} of {other[0]}. Name the folders of one environment; "
            "compare_each and the command make a table for each."
        )
    return next(iter(compared.values()))


def compare_each(
    folders: Iterable[str | Path], suite: str | None = None
) -> dict[str, pd.DataFrame]:
    """A table of :func:`compare_runs` for each environment that there are runs of.

    Environments differ in their name (``env.name``), in what makes them (``env.make``), or in the
    building, map or scenario. What else differs in ``env`` are settings of one environment, and
    tells methods of one table apart.

    Args:
        folders: as :func:`compare_runs` takes them.
        suite: as well.

    Returns:
        The tables by what the environments are called, such as ``"env.name=building,
        env.building=OfficeSmall"``.

    Raises:
        FileNotFoundError: a folder holds no run.
        ValueError: no run is left.
    """
    left_out: dict[str, str] = {}
    tables: dict[str, pd.DataFrame] = {}
    for folder in map(Path, folders):
        for run in find_runs(folder):
            try:
                tables[str(run)] = _read_evaluation(run, suite)
            except (OSError, ValueError) as error:
                left_out[str(run)] = str(error)
    described: dict[str, pd.DataFrame] = {}
    for label, runs in group_by_environment(tables).items():
        alike = _long_enough({run: tables[run] for run in runs}, left_out)
        if alike:
            described[label] = leave_out_copies(describe_runs(alike), left_out)
    warn_left_out(left_out)
    if not described:
        raise ValueError("No run is left to compare: see the warning for what each of them lacks.")
    compared = {}
    for label, own in described.items():
        versions = {run: noted_version(tables[run]) for run in own["run"]}
        warn_versions(versions)
        compared[label] = _rows(own, tables)
        compared[label].attrs["versions"] = versions
    return compared


def noted_version(table: pd.DataFrame) -> str:
    """The versions that a file of results notes; those of earlier releases have none."""
    noted = table["environment"].dropna().unique() if "environment" in table else []
    return "; ".join(map(str, noted)) or "not noted"


def _long_enough(
    tables: dict[str, pd.DataFrame], left_out: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Without runs that have fewer episodes of a shift than others; of a shift they lack, none."""
    most: dict[str, int] = {}
    for table in tables.values():
        for shift, n in _episodes(table).items():
            most[shift] = max(n, most.get(shift, 0))
    found = {}
    for run, table in tables.items():
        own = _episodes(table)
        short = [f"{n} of {most[shift]} on {shift}" for shift, n in own.items() if n < most[shift]]
        if short:
            left_out[run] = f"has fewer episodes than other runs: {', '.join(short)}"
        else:
            found[run] = table
    return found


def _read_evaluation(run: Path, suite: str | None) -> pd.DataFrame:
    """An evaluation, if it is whole; the learned policy is called the same in all."""
    config = read_config(run)
    if suite == config.get("evaluation.suite"):
        suite = None  # what the run ends with
    file = run / evaluation_file(suite)
    if not file.exists():
        tested = (run / "win_rates.csv").exists()
        raise ValueError(
            "has win rates, and no evaluation.csv: compare with --win-rates"
            if tested
            else f"has no {file.name}: it has not ended"
            if suite is None
            else f"has no {file.name}: it was not evaluated there"
        )
    if not file.read_text().endswith("\n"):
        raise ValueError(f"its {file.name} is torn: the last line has no end")
    table = pd.read_csv(file)
    missing = [column for column in _COLUMNS if column not in table]
    if missing:
        raise ValueError(f"its {file.name} lacks the columns {missing}")
    if table[_COLUMNS].isna().any(axis=None):
        raise ValueError(f"its {file.name} has empty cells")
    if not is_numeric_dtype(table["return"]):
        raise ValueError(f"its {file.name} has returns that are no numbers")
    task = _task_of(run)
    # of a task that was not imported, the run's own team is the first in the file
    references = table["policy"].unique()[1:] if task is None else list(task.references)
    if suite is not None:  # beside controls, which lie in folders of their own
        table = table[table["policy"].isin([table["policy"].iloc[0], *references])].copy()
    else:
        suite = config.get("evaluation.suite")
    table["policy"] = table["policy"].where(table["policy"].isin(references), _LEARNED)
    _check_length(table, file.name, suite, config, task)
    if task is not None:
        # by the task, whatever the file calls normalised
        table = table.drop(columns="normalized_return", errors="ignore")
        normalised = task.normalise(table["return"])
        if normalised is not None:
            table["normalized_return"] = normalised
        table.attrs["measure"] = task.measure
    return table


def _task_of(run: Path) -> Task | None:
    """The task of a run; ``None`` for a user's own that was not imported."""
    try:
        return make_task(OmegaConf.load(run / "config.yaml"), may_import=False)
    except (ValueError, AttributeError):
        return None


def evaluation_file(suite: str | None = None) -> str:
    """What a run's evaluation is called, by default the one that it ends with.

    Examples:
        >>> evaluation_file(), evaluation_file("season_strict")
        ('evaluation.csv', 'evaluation_season_strict.csv')
    """
    return "evaluation.csv" if suite is None else f"evaluation_{suite}.csv"


def _check_length(
    table: pd.DataFrame, name: str, suite: Any, config: dict[str, Any], task: Task | None
) -> None:
    """Refuses an evaluation with fewer shifts or episodes than was asked for."""
    counts = table.groupby(["policy", "shift"], sort=False).size()
    episodes = config.get("evaluation.episodes", counts.max())
    if name != evaluation_file():  # of another command, which was told how many
        episodes = counts.max()
    if task is not None and isinstance(suite, str):
        suite = task.suites.get(suite)
    shifts = [s["name"] for s in suite] if isinstance(suite, list) else table["shift"].unique()
    for policy, shift in product(dict.fromkeys([_LEARNED, *table["policy"]]), shifts):
        n = counts.get((policy, shift), 0)
        if n < episodes:
            raise ValueError(
                f"its {name} is cut: {n} of {episodes} episodes of {policy!r} on {shift}"
            )


def _episodes(table: pd.DataFrame) -> dict[str, int]:
    """Number of the learned policy's episodes by shift."""
    return table[table["policy"] == _LEARNED]["shift"].value_counts(sort=False).to_dict()


def _rows(described: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    configs = [read_config(Path(run)) for run in described["run"]]
    # of tasks that have the same one
    found = {tables[run].attrs.get("measure") for run in described["run"]}
    measure = found.pop() if len(found) == 1 else None
    judged = [_judged_on(config) for config in configs]
    names = dict.fromkeys(name for run in described["run"] for name in tables[run]["policy"])
    labels = {name: tell_apart([name] * len(judged), judged) for name in names}
    learned, references, seen = [], [], set()
    owners = described[["run", "method", "seed"]]
    for i, (run, method, seed) in enumerate(owners.itertuples(index=False, name=None)):
        known = ["return", "normalized_return", *([measure[0]] if measure else [])]
        measures = [column for column in known if column in tables[run]]
        keys = [key for key in KEYS if key in tables[run]]
        means = tables[run].groupby(keys, sort=False, dropna=False)[measures].mean().reset_index()
        for name, rows in means.assign(run=run, seed=seed).groupby("policy", sort=False):
            if name == _LEARNED:
                learned.append(rows.assign(policy=method))
            elif (label := labels[name][i]) not in seen:
                seen.add(label)
                references.append(rows.assign(policy=label))
    settings = find_settings(described, configs)
    learned = _beside_controls(learned, described, settings, measure)
    compared = pd.concat([*learned, *references], ignore_index=True)
    compared.attrs["measure"] = measure
    compared.attrs["missing_controls"] = missing_controls(settings)
    compared.attrs["controls"] = shown_controls(settings, set(compared["policy"]))
    return compared


def _judged_on(config: dict[str, Any]) -> dict[str, Any]:
    """What the returns of a policy that does not learn depend on; what was not a field yet, too."""
    added = {field: value for field, value in ADDED.items() if field in _JUDGED_ON}
    own = {f: v for f, v in config.items() if f.startswith(tuple(f"{j}." for j in _JUDGED_ON))}
    return added | {field: config[field] for field in _JUDGED_ON if field in config} | own


def _beside_controls(
    tables: list[pd.DataFrame],
    described: pd.DataFrame,
    settings: list[Setting],
    measure: tuple[str, str] | None,
) -> list[pd.DataFrame]:
    """Rows of runs in the order of a table: robust methods, their controls, the best of these."""
    rows = pd.concat(tables)
    rows.attrs["measure"] = measure
    seeds = dict(zip(described["run"], described["seed"], strict=True))
    best = rows_in_hindsight(rows, settings, seeds, shown_measure(rows)[0])
    rows = pd.concat([rows, best])
    names = {method: name for setting in settings for method, name in setting.names.items()}
    ordered = order_methods(list(dict.fromkeys(described["method"])), settings)
    parts = [rows[rows["policy"] == method] for method in ordered]
    return [
        part.assign(policy=names.get(method, method))
        for method, part in zip(ordered, parts, strict=True)
        if len(part)
    ]
