"""Scores of methods by seed and shift, from a table of episodes, if its rows can be compared."""

from __future__ import annotations

import numpy as np
import pandas as pd

from torchrl_drigm.evaluation.measures import MEASURES
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["check_comparable", "seed_scores"]

# What the scores of all rows have to have in common, where a table says it.
_PROTOCOL = ("suite", "protocol", "preset", "commit")


def seed_scores(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per method a score by seed and shift: the mean over the episodes.

    Of the task's own measure, or the normalised return, or the return: the first that there is.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate` of all runs, with the further
            columns ``policy`` (or ``method``) and ``seed``, the seed of training; or those of
            :func:`~torchrl_drigm.evaluation.compare_runs`.

    Returns:
        By method ``[n_seeds, n_shifts]``, with the seeds as index and the shifts as columns, both
        in the order in which they first appear. ``attrs["measure"]`` of each is what the scores
        are called.

    Raises:
        ValueError: as :func:`check_comparable`.

    Example:
        >>> rows = pd.DataFrame({"policy": "QMIX", "seed": [0, 0, 0, 0, 1, 1, 1, 1],
        ...     "shift": list("aabb") * 2, "return": [1.0, 3.0, 5.0, 5.0, 4.0, 4.0, 0.0, 6.0]})
        >>> seed_scores(rows)["QMIX"]
        shift    a    b
        seed
        0      2.0  5.0
        1      4.0  3.0
    """
    check_comparable(results)
    method, (column, label) = method_column(results), score_column(results)
    # as numbers: whether a battle was won is a flag
    means = results.astype({column: float}).groupby([method, "seed", "shift"], sort=False)[column]
    scores = {}
    for name, own in means.mean().groupby(method, sort=False):
        seeds = own.index.unique("seed")
        scores[name] = own.droplevel(method).unstack("shift").reindex(seeds)
        scores[name].attrs["measure"] = label
    return scores


def check_comparable(results: pd.DataFrame) -> None:
    """Refuses a table whose methods were not judged alike.

    :func:`~torchrl_drigm.evaluation.compare_runs` has left out runs that are cut or copies of
    others, with a warning; this is for whatever table there is.

    Args:
        results: see :func:`seed_scores`.

    Raises:
        ValueError: there are no rows, or columns are missing; a row has no method, seed or shift;
            rows differ in ``suite``, ``protocol``, ``preset`` or ``commit``, where the table has
            these columns; a seed of a method lacks a shift that others have, has fewer episodes of
            it or has one of them twice; or a score is not finite.

    Example:
        >>> rows = pd.DataFrame({"policy": ["QMIX", "VDN"], "seed": 0, "shift": ["a", "b"],
        ...                      "return": 1.0})
        >>> check_comparable(rows)
        Traceback (most recent call last):
        ValueError: seed 0 of 'VDN' lacks the shift 'a', which seed 0 of 'QMIX' has: ...
    """
    method, (column, _) = method_column(results), score_column(results)
    keys = [method, "seed", "shift"]
    check_table("results", results, [*keys, column])
    for key in keys:
        if n := results[key].isna().sum():
            raise ValueError(f"results has {n} rows without a {key}: nobody knows whose they are.")
    for field in _PROTOCOL:
        if field in results and results[field].nunique(dropna=False) > 1:
            first = results.drop_duplicates(field)[[method, "seed", field]].iloc[:2]
            one, other = (f"{_row(*row[:2])} has {row[2]!r}" for row in first.to_numpy(object))
            raise ValueError(
                f"results differ in {field!r}: {one}, {other}. Compare what was judged alike, one "
                f"{field} at a time."
            )
    _check_finite(results, keys, column)
    counts = results.groupby(keys, sort=False).size()
    table = counts.unstack("shift").reindex(columns=results["shift"].unique())
    for shift, n in table.items():
        if n.isna().any():
            raise ValueError(
                f"{_row(*n[n.isna()].index[0])} lacks the shift {shift!r}, which "
                f"{_row(*n[n.notna()].index[0])} has: compare methods and seeds in the same shifts."
            )
    if counts.nunique() > 1:
        least, most = counts.idxmin(), counts.idxmax()
        raise ValueError(
            f"{_row(*least[:2])} has {counts[least]} episodes of {least[2]!r}, {_row(*most[:2])} "
            f"has {counts[most]} of {most[2]!r}: judge all in as many."
        )
    if "episode" in results and (again := results.duplicated([*keys, "episode"])).any():
        name, seed, shift, episode = results.loc[again, [*keys, "episode"]].iloc[0]
        raise ValueError(
            f"{_row(name, seed)} has episode {episode} of {shift!r} twice: a run that is there a "
            "second time is no seed more."
        )


def method_column(results: pd.DataFrame) -> str:
    """The column that names the method: ``policy``, or else ``method``."""
    return "method" if "policy" not in results and "method" in results else "policy"


def score_column(results: pd.DataFrame) -> tuple[str, str]:
    """The column of the scores, the first that has any, and what it is called.

    Unlike :func:`~torchrl_drigm.evaluation.measures.shown_measure` it takes no other where a number
    is missing: :func:`check_comparable` names that one.
    """
    own = results.attrs.get("measure")
    for column, label in [*([own] if own else []), *MEASURES.items()]:
        if column in results and results[column].notna().any():
            return column, label
    return "return", MEASURES["return"]


def _check_finite(results: pd.DataFrame, keys: list[str], column: str) -> None:
    bad = results[~np.isfinite(results[column].astype(float))]
    if len(bad):
        name, seed, shift = bad[keys].iloc[0]
        raise ValueError(
            f"{_row(name, seed)} has {column} = {bad[column].iloc[0]} in {shift!r}, and {len(bad)} "
            "rows in all are not finite: scores are numbers."
        )


def _row(method: str, seed: int) -> str:
    return f"seed {seed} of {method!r}"
