"""What the scores of a method come to over seeds and shifts, with bootstrap intervals.

Definitions are those of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (2021), and of their library rliable; a task there is a shift here.

SciPy's statistics take a second to import, and are imported where they are used: whoever trains
imports this module, too.

Axis legend: B resamples, n seeds (m of another method), k shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["Estimate", "interquartile_mean", "probability_of_improvement", "worst_shifts"]

RESAMPLES = 10_000
_CONFIDENCE = 0.95
_BATCH = 500  # resamples at a time: what a pair of methods with many seeds needs of memory


class Estimate(NamedTuple):
    """A number and its 95 % interval.

    Attributes:
        value: the number.
        low: lower end of the interval, NaN of a single seed.
        high: upper end.
    """

    value: float
    low: float
    high: float


def interquartile_mean(
    scores: ArrayLike, *, whole_runs: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Mean of the middle half of all scores, with a bootstrap interval (Agarwal et al. 2021).

    A quarter of the n·k scores is cut at either end, rounded down, whatever seed or shift they
    belong to. The interval is that of percentiles, from resampled seeds.

    Args:
        scores: ``[n_seeds, n_shifts]``, such as one of
            :func:`~torchrl_drigm.evaluation.seed_scores`.
        whole_runs: resample seeds with all of their shifts, rather than those of each shift by
            themselves. The latter is the stratified bootstrap of the article, where every task has
            runs of its own. Where one trained team is judged in all shifts its scores rise and fall
            together, and the stratified interval is far too narrow: of runs whose scores in six
            shifts have a correlation of 0.9 it holds the truth in 59 % of all cases. Of five whole
            runs it does in 86 %, of ten in about 90.
        resamples: number of resamples.
        seed: of their generator.

    Returns:
        Value and interval. Seeds in another order, with ``whole_runs=False`` in another order in
        each shift, give the same.

    Raises:
        ValueError: the scores have another number of dimensions, are none or are not finite.

    Example:
        >>> scores = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 70.0]]
        >>> interquartile_mean(scores).value  # of 2, 3, 4 and 5
        3.5
    """
    scores = _checked("scores", scores)
    value = float(_middle_mean(scores))
    return Estimate(value, *_interval(_middle_mean, [scores], whole_runs, resamples, seed))


def probability_of_improvement(
    x: ArrayLike,
    y: ArrayLike,
    *,
    whole_runs: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """How often a run of X is better than one of Y, averaged over shifts (Agarwal et al. 2021).

    In each shift the share of the n·m pairs of runs in which X's score is higher, those with the
    same one counted half: the Mann–Whitney U statistic over n·m. It says nothing about by how much.

    Args:
        x: ``[n_seeds, n_shifts]``, scores of X.
        y: ``[m_seeds, n_shifts]``, scores of Y in the same shifts, which may have other seeds.
        whole_runs: as of :func:`interquartile_mean`.
        resamples: number of resamples. X and Y are resampled independently.
        seed: of their generator.

    Returns:
        Value and interval; the interval is NaN if either has a single seed.

    Raises:
        ValueError: as :func:`interquartile_mean`, or for different shifts: another number of
            them or, of tables, other names.

    Example:
        >>> probability_of_improvement([[1.0], [3.0]], [[0.0], [3.0]]).value  # 1>0, 3>0, 3=3
        0.625
    """
    names = [getattr(table, "columns", None) for table in (x, y)]
    x, y = _checked("x", x), _checked("y", y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x has {x.shape[1]} shifts and y has {y.shape[1]}: compare in the same shifts."
        )
    if all(own is not None for own in names) and list(names[0]) != list(names[1]):
        raise ValueError(
            f"x has the shifts {list(names[0])} and y has {list(names[1])}: compare in the same "
            "shifts, in the same order."
        )
    value = float(_share_of_wins(x, y))
    return Estimate(value, *_interval(_share_of_wins, [x, y], whole_runs, resamples, seed))


def worst_shifts(scores: pd.DataFrame) -> pd.DataFrame:
    """The shift in which each seed scores lowest.

    Being the smallest of several means that have noise, such a score is a little too low.

    Args:
        scores: ``[n_seeds, n_shifts]``, of :func:`~torchrl_drigm.evaluation.seed_scores`.

    Returns:
        One row per seed, the index, with the columns ``shift`` (of equal ones the first) and
        ``score``.

    Raises:
        ValueError: as :func:`interquartile_mean`.

    Example:
        >>> scores = pd.DataFrame({"near": [3.0, 1.0], "far": [2.0, 4.0]}, index=[7, 8])
        >>> worst_shifts(scores)
          shift  score
        7   far    2.0
        8  near    1.0
    """
    values = _checked("scores", scores)
    names = scores.columns.to_numpy()[values.argmin(axis=1)]
    return pd.DataFrame({"shift": names, "score": values.min(axis=1)}, index=scores.index)


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean of one number per seed and its standard error, NaN of a single seed."""
    values = np.asarray(values, dtype=float)
    error = values.std(ddof=1) / values.size**0.5 if values.size > 1 else np.nan
    return float(values.mean()), float(error)


def _middle_mean(scores: np.ndarray) -> np.ndarray:  # [..., n, k] -> [...]
    from scipy.stats import trim_mean

    return trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1)


def _share_of_wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # [..., n, k], [..., m, k] -> [...]
    # scipy.stats.mannwhitneyu divides zero by zero where all scores are the same
    signs = np.sign(x[..., :, None, :] - y[..., None, :, :])
    return 0.5 + 0.5 * signs.mean(axis=(-3, -2, -1))


def _interval(
    statistic: Callable[..., np.ndarray],
    tables: list[np.ndarray],
    whole_runs: bool,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Percentiles of a statistic of tables whose seeds are resampled; NaN of a single seed."""
    from scipy.stats import bootstrap

    if min(map(len, tables)) < 2:
        return np.nan, np.nan
    # SciPy resamples each of its samples by itself: the rows of a table, or those of each column.
    # In order first, as neither seeds nor, by themselves, those of a shift have one.
    if whole_runs:
        tables = [table[np.lexsort(table.T)] for table in tables]
        samples = [np.arange(len(table)) for table in tables]
    else:
        samples = [column for table in tables for column in np.sort(table, axis=0).T]
    n_shifts = tables[0].shape[1]

    def resampled(*drawn: np.ndarray, axis: int) -> np.ndarray:  # each [B, n]
        if whole_runs:
            pairs = zip(tables, drawn, strict=True)
            return statistic(*(table[rows.astype(int)] for table, rows in pairs))
        starts = range(0, len(drawn), n_shifts)
        return statistic(*(np.stack(drawn[i : i + n_shifts], axis=-1) for i in starts))

    found = bootstrap(
        samples,
        resampled,
        n_resamples=resamples,
        batch=_BATCH,
        vectorized=True,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _checked(name: str, scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(
            f"{name} must be scores [n_seeds, n_shifts], got the shape {list(scores.shape)}."
        )
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(
            f"{name} must be finite numbers [n_seeds, n_shifts], got {scores[row, column]} at "
            f"[{row}, {column}]."
        )
    return scores
