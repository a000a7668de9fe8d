"""Robust value iteration against linear programs, worst kernels, contraction."""

import itertools

import numpy as np
import pytest
import torch

from tests.convex_programs import worst_expectations
from tests.tabular.linear_programs import numpy_value_iteration
from tests.tabular.zoo import (
    ALL_KINDS,
    KINDS,
    ON_THE_SUPPORT,
    WORST_VALUES,
    a_set,
    small_models,
)
from torchrl_drigm.tabular import (
    DecPOMDP,
    FiniteSet,
    optimal_values,
    random_dec_pomdp,
    robust_bellman,
    robust_value_iteration,
    robust_values,
    worst_case_kernel,
)
from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation, make_set


class TestAgainstLinearPrograms:
    @pytest.mark.parametrize("worst_value", WORST_VALUES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_full_value_iteration_on_random_models(self, kind, worst_value):
        # None is the paper's set: 100 models. The fail state's variant: 20.
        models = small_models(100 if worst_value is None else 20)
        uncertainty = make_set(kind, rho=0.25, worst_value=worst_value)
        ours = np.stack([robust_value_iteration(m, uncertainty).q.numpy() for m in models])
        # From zero: at most 0.5**30 * 2 = 2e-9 is left.
        expected = numpy_value_iteration(models, kind, 0.25, worst_value, iterations=30)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_step_from_the_solution_at_a_long_horizon(self, kind):
        models = [random_dec_pomdp(4, (2, 2), seed, gamma=0.95) for seed in range(100, 120)]
        uncertainty = make_set(kind, rho=0.15)
        ours = np.stack([robust_value_iteration(m, uncertainty).q.numpy() for m in models])
        stepped = numpy_value_iteration(models, kind, 0.15, None, 1, start=ours)
        # A residual of e is an error of at most e / (1 - gamma).
        assert np.abs(stepped - ours).max() / (1 - 0.95) <= 1e-8

    @pytest.mark.parametrize("kind", ON_THE_SUPPORT)
    def test_one_step_from_the_solution_by_convex_programs(self, kind):
        uncertainty = make_set(kind, rho=0.3)
        for model in small_models(4):
            found = robust_value_iteration(model, uncertainty)
            acting = ~model.terminal
            rows = model.kernel[acting].flatten(0, -2)
            values = (found.v * acting).expand_as(rows)
            worst = worst_expectations(kind, rows, values, 0.3).view_as(found.q[acting])
            stepped = model.reward[acting] + model.gamma * worst
            torch.testing.assert_close(stepped, found.q[acting], rtol=0, atol=1e-4)
            assert (optimal_values(model)[0] - found.q).max() > 0.01

    def test_nominal_values_by_policy_iteration(self):
        for seed, model in enumerate(small_models(10)):
            q, v = optimal_values(model)
            found = robust_value_iteration(model, Nominal())
            torch.testing.assert_close(found.q, q, rtol=0, atol=1e-9)
            torch.testing.assert_close(found.v, v, rtol=0, atol=1e-9)
            for kind in (*KINDS, *ON_THE_SUPPORT):
                nominal = robust_value_iteration(model, make_set(kind, rho=0.0)).q
                torch.testing.assert_close(nominal, q, rtol=0, atol=1e-9, msg=f"{kind} {seed}")

    def test_rows_of_a_finite_hull(self):
        kernels = [model.kernel for model in small_models(3)]
        model = small_models(3)[0]
        hull = FiniteSet(kernels, rectangular=True)
        q = robust_value_iteration(model, hull).q
        v = q.flatten(1).amax(1)
        backup = torch.stack([kernel @ v for kernel in kernels]).amin(0)
        expected = (model.reward + model.gamma * backup) * model.expand(~model.terminal)
        torch.testing.assert_close(q, expected, rtol=0, atol=1e-9)
        # Mixing rows can only help the adversary.
        assert (q <= robust_values(model, FiniteSet(kernels)) + 1e-9).all()


class TestConvergence:
    @pytest.mark.parametrize("kind", ("none", *KINDS, *ON_THE_SUPPORT))
    def test_operator_is_a_contraction(self, kind):
        model = random_dec_pomdp(5, (2, 3), seed=3, gamma=0.9)
        uncertainty = Nominal() if kind == "none" else make_set(kind, rho=0.2)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            v, w = 5 * torch.randn(2, 5, generator=generator, dtype=torch.float64)
            v[-1] = w[-1] = 0.0  # terminal
            moved = robust_bellman(model, uncertainty, v) - robust_bellman(model, uncertainty, w)
            assert moved.abs().max() <= 0.9 * (v - w).abs().max() + 1e-12

    @pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
    def test_report(self, gamma):
        model = random_dec_pomdp(4, (2, 2), seed=1, gamma=gamma)
        tv = TotalVariation(0.1)
        found = robust_value_iteration(model, tv)
        assert 0 < found.contraction <= gamma + 1e-6
        assert found.residual * gamma / (1 - gamma) <= 1e-10
        again = robust_bellman(model, tv, found.v)
        torch.testing.assert_close(again, found.q, rtol=0, atol=1e-10)
        torch.testing.assert_close(found.v, found.q.flatten(1).amax(1))
        assert found.iterations <= 5 + np.log(1e-10 * (1 - gamma) / 4) / np.log(gamma)
        assert not found.q[-1].any()  # terminal

    def test_contraction_is_the_largest_ratio_of_two_changes(self):
        model = random_dec_pomdp(4, (2, 2), seed=1, gamma=0.9)
        tv = TotalVariation(0.1)
        v, changes = torch.zeros(4, dtype=torch.float64), []
        q = robust_bellman(model, tv, v)
        while not changes or changes[-1] > 1e-7:
            following = robust_bellman(model, tv, q.flatten(1).amax(1))
            changes.append((following - q).abs().max().item())
            q = following
        ratios = [later / earlier for earlier, later in itertools.pairwise(changes)]
        assert ratios[-1] < max(ratios)
        found = robust_value_iteration(model, tv, atol=1e-6)
        assert found.contraction == pytest.approx(max(ratios), rel=1e-6)

    def test_ends_where_rounding_is_all_that_is_left(self):
        model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.9, reward_range=(-1e9, 1e9))
        found = robust_value_iteration(model, Nominal(), atol=0.0)
        torch.testing.assert_close(found.q, optimal_values(model)[0], rtol=1e-13, atol=0)

    def test_too_few_iterations(self):
        model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.9)
        with pytest.raises(RuntimeError, match="no convergence to atol=1e-10 within max_iter"):
            robust_value_iteration(model, TotalVariation(0.1), max_iterations=5)

    def test_set_that_is_no_infimum(self):
        class Doubling(Nominal):
            def expectation(self, probs, values):
                return 2 * super().expectation(probs, values)

        model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.9, n_terminal=0)
        with pytest.raises(RuntimeError, match=r"no 0\.9-contraction"):
            robust_value_iteration(model, Doubling())


class TestWorstCaseKernel:
    @pytest.mark.parametrize("kind, worst_value", ALL_KINDS)
    def test_attains_the_robust_values_and_lies_in_the_set(self, kind, worst_value):
        uncertainty = a_set(kind, 0.25, worst_value)
        for model in small_models(10):
            found = robust_value_iteration(model, uncertainty)
            worst = worst_case_kernel(model, uncertainty, found.v)
            acting = ~model.terminal
            rows = worst[: model.n_states][acting]
            assert uncertainty.contains(model.kernel[acting], rows).all()
            task = model if worst_value is None else model.with_fail_state(worst_value)
            q, _ = optimal_values(task, worst)
            torch.testing.assert_close(q[: model.n_states], found.q, rtol=0, atol=1e-9)
            if worst_value is not None:
                torch.testing.assert_close(q[-1], torch.full((2, 2), worst_value).double())

    def test_by_hand(self):
        # From state 0 the next states 0, 1, 2 (terminal, 0) have 0.5, 0.3, 0.2; V = 4, -1, 0.
        kernel = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).repeat(3, 1, 1)
        kernel[2] = torch.tensor([0.0, 0.0, 1.0])
        terminal = torch.tensor([False, False, True])
        model = DecPOMDP(kernel, torch.zeros(3, 1), gamma=0.5, terminal=terminal)
        v = torch.tensor([4.0, -1.0, 7.0])  # what is said of a terminal state is not believed

        def row(uncertainty):
            return worst_case_kernel(model, uncertainty, v)[0, 0].tolist()

        # TV moves 0.5 from state 0, then 0.1 from the terminal state, to state 1.
        assert row(TotalVariation(0.6)) == pytest.approx([0.0, 0.9, 0.1])
        assert row(Contamination(0.6)) == pytest.approx([0.2, 0.72, 0.08])
        # A fail state of value 1: only state 0 is better than that.
        assert row(TotalVariation(0.6, 1.0)) == pytest.approx([0.0, 0.3, 0.2, 0.5])
        assert row(Contamination(0.6, 1.0)) == pytest.approx([0.2, 0.12, 0.08, 0.6])
        assert row(Nominal()) == pytest.approx([0.5, 0.3, 0.2])
        q = robust_bellman(model, TotalVariation(0.6), v)
        assert q.squeeze(-1).tolist() == pytest.approx([-0.45, -0.45, 0.0])  # 0.5 * 0.9 * -1

    def test_leaves_the_model_as_it_was(self):
        model = random_dec_pomdp(3, (2, 2), seed=0)
        before = model.kernel.clone()
        for uncertainty in (
            Nominal(),
            *(make_set(kind, rho=0.0) for kind in (*KINDS, *ON_THE_SUPPORT)),
        ):
            worst_case_kernel(model, uncertainty, torch.arange(3.0)).zero_()
        assert torch.equal(model.kernel, before)


class TestErrors:
    def test_set_that_is_not_rectangular(self):
        model = random_dec_pomdp(3, (2, 2), seed=0)
        finite = FiniteSet([model.kernel])
        for function in (robust_bellman, worst_case_kernel):
            with pytest.raises(ValueError, match=r"not rectangular \(Eq. 1\)"):
                function(model, finite, torch.zeros(3))
        with pytest.raises(ValueError, match=r"not rectangular \(Eq. 1\)"):
            robust_value_iteration(model, finite)

    def test_values_of_the_wrong_shape(self):
        model = random_dec_pomdp(3, (2, 2), seed=0)
        for function in (robust_bellman, worst_case_kernel):
            with pytest.raises(ValueError, match=r"\[S\] = \[3\], got \[3, 1\]"):
                function(model, TotalVariation(0.1), torch.zeros(3, 1))
            values = torch.zeros(3)
            values[0] = torch.nan
            with pytest.raises(ValueError, match=r"values must be finite, got \[nan, 0\.0"):
                function(model, TotalVariation(0.1), values)
