"""What the networks that the paper's authors published play, and what ρ does to it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd

from torchrl_drigm._files import atomic_path
from torchrl_drigm._machine import processor
from torchrl_drigm._source import source
from torchrl_drigm.evaluation.compare import KEYS, evaluation_file, noted_version
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.measures import MEASURES, shown_measure
from torchrl_drigm.evaluation.shift_tables import by_shift, over_the_seeds
from torchrl_drigm.tasks import BuildingTask

__all__ = ["PUBLISHED", "published_rows", "report_published", "rho_effect"]

PUBLISHED = "published"
_LABEL = re.compile(r"released (?:(TV|contamination|nominal) (\w+))(?:, ρ = ([\d.]+))?")


def report_published(
    folder: str | Path, suite: str, out: str | Path, command: str = ""
) -> list[Path]:
    """Leave CSV and Markdown of what the published networks alone played in a suite.

    Args:
        folder: with what they played.
        suite: its name.
        out: where to write ``SUITE_published.csv`` (a row for each team and shift, the mean over
            the episodes) and ``SUITE_published.md``.
        command: what played them, to be written down.

    Returns:
        The files.

    Raises:
        FileNotFoundError: nothing was played in that suite.
        ValueError: if two files are of one team, or of several versions of the environment.
    """
    tables = published_rows(folder, suite, pd.DataFrame(columns=[*KEYS, *MEASURES]))
    if not tables:
        raise FileNotFoundError(f"no {evaluation_file(suite)} below {folder}.")
    versions = dict.fromkeys(table.attrs["version"] for table in tables)
    if len(versions) > 1:
        raise ValueError(
            f"what is below {folder} was played in several versions of the environment, "
            f"{' and '.join(versions)}: one table has one of them. Name another folder with --out."
        )
    (version,) = versions
    rows = pd.concat(tables, ignore_index=True)
    rows["policy"] = pd.Categorical(rows["policy"], sorted(rows["policy"].unique()))
    column, label = shown_measure(rows)
    scores = over_the_seeds(rows.sort_values("policy", kind="stable"), column)
    parts = [
        f"# {suite}: the published networks",
        f"{label.capitalize()} by shift, mean ± standard error over the runs. "
        f"{version}; tables made at {source()}, "
        f"{date.today().isoformat()} ({processor()}).",
        *([f"```bash\n{command}\n```"] if command else []),
        by_shift(scores, label),
    ]
    last = BuildingTask.suites[suite][-1]["name"]
    effect = rho_effect(rows[rows["shift"] == last], column)
    if len(effect):
        parts += [f"## What ρ does, in {last}", _EFFECT, _format(effect)]
    name = f"{suite}_published"
    with atomic_path(Path(out) / f"{name}.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    kept = rows[["policy", "seed", "suite", "shift", "location", column]].round(4)
    return [save_results(kept, Path(out) / f"{name}.csv"), Path(out) / f"{name}.md"]


_EFFECT = (
    "The same code with ρ = 0 is the control: nominal training in the rhythm of that set's. "
    "Differences are of runs of one seed, mean ± standard error over the seeds; p is of an F-test "
    "that all ρ, 0 among them, have the same mean."
)


def rho_effect(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Of each mixer and set, what the sizes ρ above 0 come to, against ρ = 0.

    Args:
        rows: of one shift, with the columns ``policy`` (labels of
            :func:`~torchrl_drigm.trainers.released_label`), ``seed`` and ``column``.
        column: the score.

    Returns:
        One row per mixer and set of which there are ρ = 0 and others, with the columns ``mixer``,
        ``set``, ``zero``, ``mean`` (over all ρ above 0), ``best`` and ``best_rho``, ``difference``
        and its ``standard_error`` (mean over ρ minus ρ = 0, over the seeds), and ``p``.

    Examples:
        >>> rows = [("released TV VDN, ρ = 0.0", 0, 0.5), ("released TV VDN, ρ = 0.0", 1, 0.6),
        ...         ("released TV VDN, ρ = 0.2", 0, 0.7), ("released TV VDN, ρ = 0.2", 1, 0.6)]
        >>> table = rho_effect(pd.DataFrame(rows, columns=["policy", "seed", "score"]), "score")
        >>> table[["zero", "mean", "best_rho", "difference", "standard_error"]].round(2)
           zero  mean best_rho  difference  standard_error
        0  0.55  0.65      0.2         0.1             0.1
    """
    from scipy import stats  # takes a second

    found: dict[tuple[str, str], dict[str, pd.Series]] = {}
    for policy, own in rows.groupby("policy", sort=False, observed=True):
        if (match := _LABEL.fullmatch(str(policy))) is None:
            continue
        kind, mixer, rho = match.groups()
        kind, rho = ("contamination", "0.0") if kind == "nominal" else (kind, rho)
        found.setdefault((mixer, kind), {})[rho] = own.set_index("seed")[column]
    table = []
    for (mixer, kind), sizes in found.items():
        zero, others = sizes.pop("0.0", None), pd.DataFrame(sizes)
        if zero is None or others.empty:
            continue
        difference = (others.mean(axis=1) - zero).dropna()
        means = others.mean()
        groups = [zero, *(others[rho].dropna() for rho in others)]
        enough = all(len(group) > 1 for group in groups)  # or there is no spread to judge by
        row = {"mixer": mixer, "set": kind, "zero": zero.mean(), "mean": means.mean()}
        row |= {"best": means.max(), "best_rho": means.idxmax()}
        row |= {"difference": difference.mean(), "standard_error": difference.sem()}
        p = float(stats.f_oneway(*groups).pvalue) if enough else float("nan")
        table.append(row | {"p": p})
    return pd.DataFrame(table)


def _format(effect: pd.DataFrame) -> str:
    lines = [
        "| set | mixer | ρ = 0 | mean over ρ > 0 | best of them | mean - (ρ = 0) | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in effect.sort_values(["set", "mixer"]).to_dict("records"):
        row["p"] = "-" if pd.isna(row["p"]) else f"{row['p']:.2f}"
        lines.append(
            "| {set} | {mixer} | {zero:.3f} | {mean:.3f} | {best:.3f} (ρ = {best_rho}) | "
            "{difference:+.3f} ± {standard_error:.3f} | {p} |".format(**row)
        )
    return "\n".join(lines)


def published_rows(folder: str | Path | None, suite: str, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Means over the episodes of what published networks played, as rows of the others' kind.

    The ``attrs`` of each have its file, and the version of the environment that it is of.

    Raises:
        ValueError: if two files are of one team.
    """
    tables: list[pd.DataFrame] = []
    seen: dict[tuple[str, int], Path] = {}
    for file in sorted(Path(folder).rglob(evaluation_file(suite))) if folder is not None else []:
        played = pd.read_csv(file)
        for team in set(zip(played["policy"], played["seed"], strict=True)):
            if team in seen:
                raise ValueError(
                    f"{seen[team]} and {file} are both seed {team[1]} of {team[0]!r}: a table has "
                    "one of them. Move the other away."
                )
            seen[team] = file
        keys = [key for key in ("policy", "seed", *KEYS) if key in played]
        keys = list(dict.fromkeys(keys))
        values = [c for c in played if c in rows and c in MEASURES]
        means = played.groupby(keys, sort=False, dropna=False)[values].mean().reset_index()
        own = {"kind": PUBLISHED, "mixer": "", "uncertainty": "", "run": file.parent.name}
        tables.append(means.assign(**own))
        tables[-1].attrs = {"file": file, "version": noted_version(played)}
    return tables
