"""How often 95 % intervals of a few seeds hold the truth, and that docs/statistics.md says it.

Scores of a run in six shifts are normal with mean 0, with a part that they have in common:
their correlation. The page's table is printed by ``python tests/evaluation/test_coverage.py``.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from torchrl_drigm.evaluation import interquartile_mean, mean_interval

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
SHIFTS = 6
SEEDS = (3, 5, 10, 20)
CORRELATIONS = (0.0, 0.5, 0.9)


def coverage(interval, n_seeds, correlation, tables):
    """Share of random tables whose interval holds 0."""
    generator = np.random.default_rng([n_seeds, int(100 * correlation)])
    held = []
    for _ in range(tables):
        common, own = generator.normal(size=(n_seeds, 1)), generator.normal(size=(n_seeds, SHIFTS))
        scores = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
        low, high = interval(scores)
        held.append(low <= 0 <= high)
    return np.mean(held)


def of_iqm(whole_runs, resamples):
    return lambda s: interquartile_mean(s, whole_runs=whole_runs, resamples=resamples)[1:]


def of_student(scores):
    mean, half = mean_interval(scores.mean(axis=1))
    return mean - half, mean + half


def intervals(resamples):
    return {
        "IQM, seeds of each shift": of_iqm(False, resamples),
        "IQM, runs whole": of_iqm(True, resamples),
        "mean, Student's t": of_student,
    }


def lines(tables, resamples):
    """The table of the page: a line per interval and correlation, a column per number of seeds."""
    for name, interval in intervals(resamples).items():
        for correlation in CORRELATIONS:
            cells = [coverage(interval, n, correlation, tables) for n in SEEDS]
            yield f"| {name} | {correlation} | {' | '.join(f'{100 * c:.0f} %' for c in cells)} |"


def said():
    """By name and correlation the page's shares, by number of seeds."""
    found = {}
    for name, correlation, cells in re.findall(
        r"^\| ((?:IQM|mean), [^|]+) \| ([\d.]+) \|(.*)\|$", PAGE.read_text(), re.MULTILINE
    ):
        shares = [int(cell.strip(" %")) / 100 for cell in cells.split("|")]
        found[name, float(correlation)] = dict(zip(SEEDS, shares, strict=True))
    return found


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("name", list(intervals(1)))
def test_of_five_seeds_is_what_the_page_says(name, correlation):
    found = coverage(intervals(400)[name], 5, correlation, tables=400)
    assert found == pytest.approx(said()[name, correlation][5], abs=0.06)  # 3 s.e.


def test_the_page_has_every_line():
    assert list(said()) == [(name, c) for name in intervals(1) for c in CORRELATIONS]


if __name__ == "__main__":
    for line in lines(tables=1000, resamples=400):
        print(line, flush=True)
