"""What a reproduction comes to: tables and pictures of a suite, the paper's numbers beside ours."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from torchrl_drigm._files import atomic_path
from torchrl_drigm._machine import processor
from torchrl_drigm._source import source
from torchrl_drigm.evaluation.compare import compare_runs
from torchrl_drigm.evaluation.controls import GAMMA, HINDSIGHT
from torchrl_drigm.evaluation.curves import severity_areas
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.measures import MEASURES, shown_measure
from torchrl_drigm.evaluation.methods import mixer_label, read_config
from torchrl_drigm.evaluation.paper import PAPER_TABLES, beside_paper
from torchrl_drigm.evaluation.published import PUBLISHED, published_rows
from torchrl_drigm.evaluation.scores import seed_scores
from torchrl_drigm.evaluation.seed_tables import (
    format_improvements,
    format_seeds,
    improvements,
    summarize_seeds,
)
from torchrl_drigm.evaluation.shift_plots import plot_shifts
from torchrl_drigm.evaluation.shift_tables import by_shift, cell, over_the_seeds
from torchrl_drigm.tasks import Task, make_task
from torchrl_drigm.trainers.runs import read_code, read_duration
from torchrl_drigm.uncertainty import find_set

__all__ = ["report_suite", "training_seconds"]

METHOD, CONTROL, REFERENCE = "method", "control", "reference"
_MISSING = (
    "Controls are missing: what nominal training with other discounts gives, which may explain "
    "these results. On buildings the same command without --no-controls makes them; in battles "
    "contamination with a worst value of 0 is one, nominal training with γ(1-ρ)."
)


def report_suite(
    folder: str | Path,
    suite: str,
    out: str | Path,
    published: str | Path | None = None,
    title: str | None = None,
    command: str = "",
) -> list[Path]:
    """Leave CSV, Markdown and a picture of all runs' results in a suite.

    Args:
        folder: of the runs, at any depth.
        suite: its name.
        out: where to write ``SUITE.csv`` (a row for each run and shift, the mean over the
            episodes), ``SUITE.md`` and ``SUITE.png``.
        published: folder with what the paper's published networks played, if there is any.
        title: of the Markdown. Default: the suite's name.
        command: what made the runs, to be written down.

    Returns:
        The files.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: no run has results, or they cannot be compared; in several versions of the
            environment, too.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Judged in different versions")  # refused below
        compared = compare_runs([folder], suite)
    task = _task_of(compared)
    column, label = shown_measure(compared)
    kinds = _kinds(compared)
    rows = compared.merge(kinds, on="policy", how="left")
    rows["run"] = [_relative(run, folder) for run in rows["run"]]
    others = published_rows(published, suite, rows)
    version = _one_version(compared, others)
    rows = pd.concat([rows, *others], ignore_index=True)
    keep = [c for c in rows if c in ("return", column) or c not in MEASURES]
    scores = seed_scores(compared)
    parts = [f"# {title or suite}", _provenance(folder, compared, version)]
    if command:
        parts += [f"```bash\n{command}\n```"]
    over_seeds = over_the_seeds(rows, column)
    if suite in PAPER_TABLES:
        last = task.suites[suite][-1]["name"]
        parts += ["## Beside the paper", _beside(over_seeds[over_seeds["shift"] == last], suite)]
    parts += [f"## {label.capitalize()} by shift, mean ± standard error over the runs"]
    parts += [by_shift(over_seeds, label)]
    learned = {name: table for name, table in scores.items() if _is_learned(name, kinds)}
    parts += ["## Over all shifts", format_seeds(summarize_seeds(learned))]
    if len(areas := _areas(compared)):
        parts += [f"## Area under the {label} over each axis, divided by its range", areas]
    if controls := compared.attrs["controls"]:
        table = improvements(scores, controls)
        parts += ["## How probably a run is better than one of a control"]
        parts += [format_improvements(table)]
    if compared.attrs["missing_controls"]:
        parts += [_MISSING]
    out = Path(out)
    with atomic_path(out / f"{suite}.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [
        save_results(rows[keep], out / f"{suite}.csv"),
        out / f"{suite}.md",
        plot_shifts(_drawn(over_seeds), out / f"{suite}.png", label, _trained(task, suite)),
    ]


def _task_of(compared: pd.DataFrame) -> Task:
    """The task of the first of the runs."""
    config = Path(compared["run"].iloc[0]) / "config.yaml"
    return make_task(OmegaConf.load(config), may_import=False)


def _trained(task: Task, suite: str) -> list[str]:
    """Names of the suite's shifts that were trained in."""
    return [shift["name"] for shift in task.suites.get(suite, ()) if task.trained_in(shift)]


def _kinds(compared: pd.DataFrame) -> pd.DataFrame:
    """By policy: what it is, its mixer and its set.

    Nominal runs in folders of discounts are controls, others the algorithm itself.
    """
    rows = []
    for policy, own in compared.groupby("policy", sort=False):
        config = read_config(Path(own["run"].iloc[0]))
        row = {"policy": policy, "kind": METHOD, "mixer": config["mixer.name"]}
        row |= {"uncertainty": _kind_of(config["uncertainty.name"]), "gamma": config.get(GAMMA)}
        if policy.startswith(HINDSIGHT):
            row |= {"kind": CONTROL, "uncertainty": HINDSIGHT, "gamma": None}
        elif mixer_label(row["mixer"]) not in policy:
            row = {"policy": policy, "kind": REFERENCE, "mixer": "", "uncertainty": ""}
        elif "_discount" in Path(own["run"].iloc[0]).parent.name:
            row["kind"] = CONTROL
        rows.append(row)
    kinds = pd.DataFrame(rows)
    return kinds


def _kind_of(name: str) -> str:
    """The set's name, or that of what it is a kind of.

    Examples:
        >>> _kind_of("torchrl_drigm.uncertainty.ForcedTotalVariation"), _kind_of("group_dr")
        ('tv', 'group_dr')
    """
    if "." not in name:
        return name
    try:
        classes = find_set(name, may_import=False).__mro__
    except ValueError:
        return name
    return next((own for cls in classes if (own := getattr(cls, "name", ""))), name)


def _is_learned(policy: str, kinds: pd.DataFrame) -> bool:
    return kinds.set_index("policy")["kind"][policy] != REFERENCE


def _drawn(scores: pd.DataFrame) -> pd.DataFrame:
    """Algorithms, the best discount, and references worth a line."""
    best = scores["uncertainty"] == HINDSIGHT
    return scores[~scores["kind"].isin([CONTROL, PUBLISHED]) | best]


def _beside(scores: pd.DataFrame, suite: str) -> str:
    """Table 1 or 2, by the scores in the shift that was not trained in."""
    table = beside_paper(scores[scores["kind"] == METHOD], suite)
    lines = ["| | ours | runs | paper | difference / its standard error |", "|---|---|---|---|---|"]
    for row in table.itertuples():
        paper = "-" if pd.isna(row.paper) else f"{row.paper:.3f} ± {row.paper_error:.3f}"
        far = "-" if pd.isna(row.distance) else f"{row.distance:+.1f}"
        lines.append(f"| {row.policy} | {cell(row)} | {row.n} | {paper} | {far} |")
    return "\n".join(lines)


def _relative(run: str, folder: str | Path) -> str:
    path = Path(run)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else run


def _areas(compared: pd.DataFrame) -> str:
    """A table of the areas under curves, a column for each axis; empty where there is no curve."""
    if "axis" not in compared:
        return ""
    curves = compared[compared["axis"].notna()]
    curves = curves[curves.groupby("axis")["level"].transform("nunique") > 1]
    if curves.empty:
        return ""
    curves.attrs = compared.attrs
    areas = severity_areas(curves).groupby(["policy", "axis"], sort=False)["area"]
    table = areas.agg(mean="mean", standard_error="sem", n="size").reset_index()
    return by_shift(table.rename(columns={"axis": "shift"}), shown_measure(compared)[1])


def training_seconds(runs: Iterable[Path]) -> float:
    """Seconds that runs took, as they noted themselves; of resumed ones at their last pace."""
    noted = [one for one in map(read_duration, runs) if one is not None and one["steps"]]
    return sum(one["seconds"] * one["frames"] / one["steps"] for one in noted)


def _one_version(compared: pd.DataFrame, others: Iterable[pd.DataFrame]) -> str:
    """The version of the environment that all results are of.

    Raises:
        ValueError: if there are several.
    """
    played = {version: run for run, version in compared.attrs["versions"].items()}
    played |= {other.attrs["version"]: other.attrs["file"] for other in others}
    if len(played) > 1:
        (one, run), (another, other) = [*played.items()][:2]
        raise ValueError(
            f"{run} was played in {one}, and {other} in {another}: results of two versions of the "
            "environment do not belong into one table. Move one of them away, or use the "
            "version that the others are of; nothing was overwritten."
        )
    return next(iter(played))


def _provenance(folder: str | Path, compared: pd.DataFrame, version: str) -> str:
    """What was run where, in the words of a table's caption."""
    runs = [Path(run) for run in compared["run"].unique()]
    frames = sorted({int(read_config(run)["collector.total_frames"]) for run in runs})
    machine = f"{processor()}, Python {platform.python_version()}"
    codes = dict.fromkeys(filter(None, map(read_code, runs)))
    trained = f"trained at {', '.join(codes)}, tables made" if codes else "tables made"
    seeds = sorted({int(read_config(run)["seed"]) for run in runs})
    hours = training_seconds(runs) / 3600
    return (
        f"{len(runs)} runs below {Path(folder).name} of {', '.join(f'{n:,}' for n in frames)} "
        f"steps each, seeds {', '.join(map(str, seeds))}, {hours:.1f} hours of training in all "
        f"({machine}). {version}; {trained} at {source()}, {date.today().isoformat()}."
    )
