"""Interquartile mean, probability of improvement and worst shift, and their intervals."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from torchrl_drigm.evaluation import (
    interquartile_mean,
    probability_of_improvement,
    worst_shifts,
)

# [5 seeds, 3 shifts] and [4 seeds, 3 shifts]; a quarter of 15 is not whole, and some are the same
X = np.array(
    [[0.9, 0.4, -0.3], [0.7, 0.5, 0.1], [0.8, 0.2, -0.9], [0.95, 0.45, 0.0], [0.6, 0.3, -2.0]]
)
Y = np.array([[0.85, 0.4, -0.5], [0.7, 0.1, -0.2], [0.5, 0.35, -1.0], [0.75, 0.25, 0.2]])


class TestInterquartileMean:
    def test_by_hand(self):
        # of 8 scores the two lowest and the two highest are cut, wherever they stand
        scores = [[9.0, 1.0], [2.0, 3.0], [-50.0, 4.0], [5.0, 900.0]]
        assert interquartile_mean(scores).value == (2 + 3 + 4 + 5) / 4
        # of 6 one at either end: a quarter is 1.5
        assert interquartile_mean([[1.0, 2.0, 3.0], [4.0, 6.0, 70.0]]).value == (2 + 3 + 4 + 6) / 4

    def test_of_few_scores_nothing_is_cut(self):
        assert interquartile_mean([[1.0, 2.0, 6.0]]).value == 3.0

    def test_the_interval_is_that_of_all_resamples(self):
        """Two seeds in two shifts have 2² · 2² resamples; whole runs 2²."""
        scores = np.array([[0.0, 10.0], [1.0, 30.0]])
        for whole_runs in (False, True):
            picks = product(range(2), repeat=2 if whole_runs else 4)
            means = [
                stats.trim_mean(
                    np.stack([scores[list(p[:2]), 0], scores[list(p[-2:]), 1]]), 0.25, None
                )
                for p in picks
            ]
            drawn = interquartile_mean(scores, whole_runs=whole_runs)
            low, high = np.quantile(np.repeat(means, 1000), [0.025, 0.975])
            assert (drawn.low, drawn.high) == pytest.approx((low, high))


class TestProbabilityOfImprovement:
    def test_by_hand(self):
        # 3 of 4 pairs, and of the second shift one and one that is the same
        x, y = [[2.0, 1.0], [5.0, 0.0]], [[3.0, 1.0], [1.0, 4.0]]
        assert probability_of_improvement(x, y).value == (3 / 4 + 0.5 / 4) / 2

    @pytest.mark.parametrize("seed", range(3))
    def test_is_the_statistic_of_mann_and_whitney(self, seed):
        generator = np.random.default_rng(seed)
        x, y = generator.integers(0, 6, (7, 4)), generator.integers(0, 6, (5, 4))  # many are equal
        u = [stats.mannwhitneyu(x[:, i], y[:, i]).statistic / 35 for i in range(4)]
        assert probability_of_improvement(x, y).value == pytest.approx(np.mean(u))

    def test_of_two_and_the_other_way_round_is_one(self):
        there, back = probability_of_improvement(X, Y), probability_of_improvement(Y, X)
        assert there.value + back.value == pytest.approx(1.0)
        assert (there.low, there.high) == pytest.approx((1 - back.high, 1 - back.low), abs=0.03)

    def test_of_the_same_is_a_half_and_of_one_far_above_is_one(self):
        same = np.ones((3, 2))
        assert probability_of_improvement(same, same) == (0.5, 0.5, 0.5)
        assert probability_of_improvement(same + 1, same) == (1.0, 1.0, 1.0)

    def test_the_scale_of_a_shift_does_not_matter(self):
        scale = np.array([1.0, 1000.0, 0.001])
        assert probability_of_improvement(X * scale, Y * scale) == probability_of_improvement(X, Y)


# Numbers of rliable 1.2.0, which cannot be imported beside pandas 3. In an environment of
# pip install rliable==1.2.0 pandas==2.3.3 "setuptools<81", with X and Y as above:
#
#     from rliable import library, metrics
#     iqm = lambda x: np.array([metrics.aggregate_iqm(x)])
#     poi = lambda x, y: np.array([metrics.probability_of_improvement(x, y)])
#     random = np.random.RandomState(0)
#     library.get_interval_estimates({"X": X, "Y": Y}, iqm, reps=50_000, random_state=random)
#     library.get_interval_estimates({"X,Y": (X, Y)}, poi, reps=10_000, random_state=random)
#
# With RandomState(1) ends differ by up to 0.008.
class TestRliable:
    @pytest.mark.parametrize(
        ("scores", "value", "low", "high"),
        [(X, 0.36111111, 0.20555556, 0.42777778), (Y, 0.3, 0.16666667, 0.38333333)],
        ids=["X", "Y"],
    )
    def test_interquartile_mean(self, scores, value, low, high):
        found = interquartile_mean(scores)
        assert found.value == pytest.approx(value, abs=1e-8)
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)

    def test_probability_of_improvement(self):
        found = probability_of_improvement(X, Y)
        assert found.value == pytest.approx(0.61666667, abs=1e-8)
        assert (found.low, found.high) == pytest.approx((0.39979167, 0.81666667), abs=0.02)


class TestIntervals:
    @pytest.mark.parametrize("whole_runs", [False, True])
    def test_the_order_of_seeds_changes_nothing(self, whole_runs):
        generator = np.random.default_rng(0)
        if whole_runs:
            x, y = generator.permutation(X), generator.permutation(Y)
        else:  # of each shift by itself
            x, y = generator.permuted(X, axis=0), generator.permuted(Y, axis=0)
        assert not np.array_equal(x, X)
        assert interquartile_mean(x, whole_runs=whole_runs) == interquartile_mean(
            X, whole_runs=whole_runs
        )
        assert probability_of_improvement(
            x, y, whole_runs=whole_runs
        ) == probability_of_improvement(X, Y, whole_runs=whole_runs)

    def test_are_repeatable_and_of_their_own_generator(self):
        assert interquartile_mean(X, seed=1) == interquartile_mean(X, seed=1)
        assert interquartile_mean(X, seed=1, resamples=200) != interquartile_mean(
            X, seed=2, resamples=200
        )

    def test_of_whole_runs_are_wider_where_a_run_is_good_or_bad_everywhere(self):
        scores = np.arange(5.0)[:, None] + np.zeros(6)
        low, high = interquartile_mean(scores)[1:]
        low_runs, high_runs = interquartile_mean(scores, whole_runs=True)[1:]
        assert high_runs - low_runs > 1.5 * (high - low)

    def test_of_a_single_seed_are_none(self):
        found = interquartile_mean(X[:1])
        assert found.value == pytest.approx((0.9 + 0.4 - 0.3) / 3)
        assert np.isnan(found.low) and np.isnan(found.high)
        for pair in ((X[:1], Y), (X, Y[:1])):
            found = probability_of_improvement(*pair)
            assert 0 < found.value < 1 and np.isnan(found.low) and np.isnan(found.high)


class TestWorstShifts:
    def test_by_hand(self):
        scores = pd.DataFrame(X[:2], index=[4, 2], columns=["a", "b", "c"]).assign(d=[-1.0, 0.1])
        worst = worst_shifts(scores)
        assert worst.index.tolist() == [4, 2]
        assert worst["shift"].tolist() == ["d", "c"]  # of 0.1 and 0.1 the first
        assert worst["score"].tolist() == [-1.0, 0.1]


class TestRefused:
    @pytest.mark.parametrize("scores", [[1.0, 2.0], 3.0, np.zeros((2, 0)), np.zeros((2, 2, 2))])
    def test_other_shapes(self, scores):
        with pytest.raises(ValueError, match=r"scores must be scores \[n_seeds, n_shifts\], got"):
            interquartile_mean(scores)
        with pytest.raises(ValueError, match="x must be scores"):
            probability_of_improvement(scores, Y)
        with pytest.raises(ValueError, match="y must be scores"):
            probability_of_improvement(X, scores)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_scores_that_are_not_finite(self, value):
        bad = X.copy()
        bad[3, 1] = value
        with pytest.raises(ValueError, match=rf"finite numbers .* got {value} at \[3, 1\]"):
            interquartile_mean(bad)
        with pytest.raises(ValueError, match="y must be finite"):
            probability_of_improvement(X, bad)
        with pytest.raises(ValueError, match="scores must be finite"):
            worst_shifts(pd.DataFrame(bad))

    def test_methods_with_different_shifts(self):
        with pytest.raises(ValueError, match="x has 3 shifts and y has 2"):
            probability_of_improvement(X, Y[:, :2])
        x, y = pd.DataFrame(X, columns=list("abc")), pd.DataFrame(Y, columns=list("acb"))
        with pytest.raises(ValueError, match=r"x has the shifts \['a', 'b', 'c'\] and y has \['a"):
            probability_of_improvement(x, y)
