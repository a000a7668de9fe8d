"""What a run shows of itself when it has ended: tables for the terminal, files for its folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from tensordict import TensorDictBase

from torchrl_drigm.evaluation.below import below_reference, without_update
from torchrl_drigm.evaluation.controls import control_note
from torchrl_drigm.evaluation.evaluate import evaluate
from torchrl_drigm.evaluation.files import RESULTS, WIN_RATES, save_results
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.metrics import read_metrics
from torchrl_drigm.evaluation.plots import plot_returns, plot_training_curve
from torchrl_drigm.evaluation.statistics import format_table, summarize
from torchrl_drigm.evaluation.win_rate_plots import plot_win_rates
from torchrl_drigm.evaluation.win_rates import final_win_rates, read_win_rates
from torchrl_drigm.tasks import Task
from torchrl_drigm.tasks.version import environment_version

__all__ = ["evaluate_all", "report_returns", "report_win_rates"]


def evaluate_all(
    policies: Mapping[str, Callable[[TensorDictBase], TensorDictBase]],
    task: Task,
    suite: Any = None,
    **options: Any,
) -> pd.DataFrame:
    """:func:`evaluate` of several policies in the same episodes, with a column ``policy``.

    Args:
        policies: by the name that tables give them.
        task: where to play.
        suite: as :func:`evaluate` takes it.
        **options: further ones of :func:`evaluate`.
    """
    tables = [
        evaluate(policy, task, suite, **options).assign(policy=name)
        for name, policy in policies.items()
    ]
    return pd.concat(tables, ignore_index=True)


def report_returns(
    results: pd.DataFrame,
    run_dir: str | Path,
    learned: str | Collection[str],
    name: str = RESULTS,
    undrawn: Collection[str] = (),
    out: str | Path | None = None,
) -> list[Path]:
    """Print a table of an evaluation, and leave it and its picture in a folder.

    Below the table of a robust run a line says which controls are missing, and how they are made;
    and one, of a team that is below references that know nothing, what could be tried; and whether
    no update was made at all.

    Args:
        results: rows of :func:`evaluate_all`.
        run_dir: folder of the run.
        learned: which of the policies were learned, that of the run first; the others are
            references.
        name: file to write the rows into, with a column ``environment``, its version, which
            :func:`evaluate` notes in ``attrs["environment"]``; the picture
            has the same name, ``returns.png`` for that of the run itself.
        undrawn: policies of the table alone.
        out: folder of the files. Default: that of the run.

    Returns:
        The files written.
    """
    run_dir, policy = Path(run_dir), results["policy"]
    out = run_dir if out is None else Path(out)
    own = policy.isin([learned] if isinstance(learned, str) else list(learned))
    others = ~own & ~policy.isin(list(undrawn))
    picture = "returns.png" if name == RESULTS else Path(name).with_suffix(".png")
    references = results[others] if others.any() else None
    version = results.attrs.get("environment", environment_version())
    files = [
        save_results(results.assign(environment=version), out / name),
        plot_returns(results[own], out / picture, references=references),
    ]
    summary = summarize(results)
    measure = summary["measure"].iloc[0].capitalize()
    print(f"\n{measure} of an episode, mean ± standard error over the episodes:\n")
    print(format_table(summary))
    team = learned if isinstance(learned, str) else next(iter(learned))
    _print_notes(
        without_update(run_dir) or below_reference(results, team, run_dir), control_note(run_dir)
    )
    return files


def stack_table(folder: str | Path, members: Mapping[Path, DictConfig], judged: list[Path]) -> None:
    """Print the results of runs that were trained at once, a row for each.

    Args:
        folder: of the stack.
        members: the runs' configs by their folders.
        judged: folders that hold results.
    """
    tables, below = [], []
    for place in judged:
        rows, name = pd.read_csv(place / RESULTS), name_of(members[place])
        below.append(without_update(place) or below_reference(rows, name, place))
        tables.append(rows[rows["policy"] == name].assign(policy=f"{name}, {place.name}"))
    if not tables:
        return
    summary = summarize(pd.concat(tables, ignore_index=True))
    measure = summary["measure"].iloc[0].capitalize()
    print(f"\n{measure} of an episode, mean ± standard error over the episodes:\n")
    print(format_table(summary))
    told = [f"{place.name}: {note}" for place, note in zip(judged, below, strict=True) if note]
    _print_notes(*told, control_note(*judged))


def _print_notes(*notes: str | None) -> None:
    for note in filter(None, notes):
        print(f"\n{note}")


def training_curve(cfg: DictConfig, run_dir: str | Path, frames: int) -> list[Path]:
    """The picture of what a run logged, if it has logged anything."""
    if cfg.logger != "csv" or frames <= cfg.log_interval:
        return []
    return [plot_training_curve(read_metrics(run_dir), Path(run_dir) / "training.png")]


def report_win_rates(cfg: DictConfig, run_dir: str | Path) -> list[Path]:
    """Print the win rates that a run ended with, and leave their curves in its folder."""
    run_dir = Path(run_dir)
    if cfg.logger != "csv":
        return []
    win_rates = read_win_rates([run_dir])
    final = final_win_rates(win_rates)
    print("\nTest win rate, mean of the last evaluations:\n")
    print(final[["method", "clean", "noisy"]].to_string(index=False))
    _print_notes(control_note(run_dir))
    files = [plot_win_rates(win_rates, run_dir / "win_rates.png")]
    return [*files, save_results(win_rates, run_dir / WIN_RATES)]
