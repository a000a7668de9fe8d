"""Robust value iteration against linear programs, Theorem 3, worst kernels, contraction."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron

from torchrl_drigm.tabular import (
    DecPOMDP,
    FiniteSet,
    UncertaintySet,
    greedy_joint_actions,
    optimal_values,
    policy_evaluation,
    random_dec_pomdp,
    random_kernel,
    robust_bellman,
    robust_value_iteration,
    robust_values,
    worst_case_kernel,
)

KINDS = ("contamination", "tv")
# v below every value that rewards in [-1, 1] and gamma <= 0.5 can give: the fail state is the worst
# place to be, and the set is the whole ball on the enlarged state space.
WORST_VALUES = (None, -3.0)


def worst_expectations(nominal, values, kind, rho):
    """Worst expectations, one linear program per row: ``nominal`` and ``values`` are [rows, n].

    All rows go to the solver as one block-diagonal program. The variables of a row are the
    adversary's distribution p (for contamination nu) and, for total variation, t >= |p - p0|.
    """
    rows, n = nominal.shape
    eye, one, zero = np.eye(n), np.ones((1, n)), np.zeros((1, n))

    def per_row(block):
        return kron(eye_array(rows), csr_array(block))

    if kind == "contamination":
        # min over nu of (1 - rho) p0 V + rho nu V
        cost, a_ub, b_ub, a_eq = rho * values, None, None, one
        constant = (1 - rho) * (nominal * values).sum()
    else:
        # p - t <= p0, -p - t <= -p0, sum(t) <= 2 rho
        cost = np.concatenate([values, np.zeros_like(values)], 1)
        a_ub = np.block([[eye, -eye], [-eye, -eye], [zero, one]])
        b_ub = np.concatenate([nominal, -nominal, np.full((rows, 1), 2 * rho)], 1).ravel()
        a_ub, a_eq, constant = per_row(a_ub), np.hstack([one, zero]), 0.0
    solution = linprog(
        cost.ravel(),
        A_ub=a_ub,
        b_ub=b_ub,
        A_eq=per_row(a_eq),
        b_eq=np.ones(rows),
        method="highs",
        options={
            "presolve": False,
            "primal_feasibility_tolerance": 1e-10,
            "dual_feasibility_tolerance": 1e-10,
        },
    )
    assert solution.status == 0, solution.message
    chosen = solution.x.reshape(rows, -1)[:, :n]
    if kind == "contamination":
        chosen = (1 - rho) * nominal + rho * chosen
        assert np.isclose((chosen * values).sum(), solution.fun + constant)
    return (chosen * values).sum(1)


def numpy_value_iteration(models, kind, rho, worst_value, iterations, start=None):
    """Plain value iteration over a list of models of one shape, two agents, in NumPy."""
    kernel = np.stack([m.kernel.numpy() for m in models])  # [M, S, A1, A2, S']
    reward = np.stack([m.reward.numpy() for m in models])
    alive = ~np.stack([m.terminal.numpy() for m in models])
    gamma = np.array([m.gamma for m in models]).reshape(-1, 1, 1, 1)
    if worst_value is not None:
        kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:-1], 1))], -1)
    q = np.zeros_like(reward) if start is None else start
    acting = np.broadcast_to(alive[:, :, None, None], reward.shape)
    for _ in range(iterations):
        v = q.max((2, 3)) * alive
        if worst_value is not None:
            v = np.concatenate([v, np.full((len(models), 1), worst_value)], 1)
        values = np.broadcast_to(v[:, None, None, None], kernel.shape)
        sigma = np.zeros_like(reward)
        sigma[acting] = worst_expectations(kernel[acting], values[acting], kind, rho)
        q = (reward + gamma * sigma) * acting
    return q


def small_models(count, structure="general"):
    return [
        random_dec_pomdp(4, (2, 2), seed, gamma=0.2 + 0.3 * seed / count, structure=structure)
        for seed in range(count)
    ]


class TestAgainstLinearPrograms:
    @pytest.mark.parametrize("worst_value", WORST_VALUES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_full_value_iteration_on_random_models(self, kind, worst_value):
        # None is the paper's set: 100 models. The fail state's variant: 20.
        models = small_models(100 if worst_value is None else 20)
        uncertainty = UncertaintySet(kind, 0.25, worst_value)
        ours = np.stack([robust_value_iteration(m, uncertainty).q.numpy() for m in models])
        # From zero: at most 0.5**30 * 2 = 2e-9 is left.
        expected = numpy_value_iteration(models, kind, 0.25, worst_value, iterations=30)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_step_from_the_solution_at_a_long_horizon(self, kind):
        models = [random_dec_pomdp(4, (2, 2), seed, gamma=0.95) for seed in range(100, 120)]
        uncertainty = UncertaintySet(kind, 0.15)
        ours = np.stack([robust_value_iteration(m, uncertainty).q.numpy() for m in models])
        stepped = numpy_value_iteration(models, kind, 0.15, None, 1, start=ours)
        # A residual of e is an error of at most e / (1 - gamma).
        assert np.abs(stepped - ours).max() / (1 - 0.95) <= 1e-8

    def test_nominal_values_by_policy_iteration(self):
        for seed, model in enumerate(small_models(10)):
            q, v = optimal_values(model)
            found = robust_value_iteration(model, UncertaintySet("none"))
            torch.testing.assert_close(found.q, q, rtol=0, atol=1e-9)
            torch.testing.assert_close(found.v, v, rtol=0, atol=1e-9)
            for kind in KINDS:
                nominal = robust_value_iteration(model, UncertaintySet(kind, 0.0)).q
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
    @pytest.mark.parametrize("kind", ("none", *KINDS))
    def test_operator_is_a_contraction(self, kind):
        model = random_dec_pomdp(5, (2, 3), seed=3, gamma=0.9)
        uncertainty = UncertaintySet(kind, 0.0 if kind == "none" else 0.2)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            v, w = 5 * torch.randn(2, 5, generator=generator, dtype=torch.float64)
            v[-1] = w[-1] = 0.0  # terminal
            moved = robust_bellman(model, uncertainty, v) - robust_bellman(model, uncertainty, w)
            assert moved.abs().max() <= 0.9 * (v - w).abs().max() + 1e-12

    @pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
    def test_report(self, gamma):
        model = random_dec_pomdp(4, (2, 2), seed=1, gamma=gamma)
        tv = UncertaintySet("tv", 0.1)
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
        tv = UncertaintySet("tv", 0.1)
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
        found = robust_value_iteration(model, UncertaintySet("none"), atol=0.0)
        torch.testing.assert_close(found.q, optimal_values(model)[0], rtol=1e-13, atol=0)

    def test_too_few_iterations(self):
        model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.9)
        with pytest.raises(RuntimeError, match="no convergence to atol=1e-10 within max_iter"):
            robust_value_iteration(model, UncertaintySet("tv", 0.1), max_iterations=5)

    def test_set_that_is_no_infimum(self):
        class Doubling(UncertaintySet):
            def expectation(self, probs, values):
                return 2 * super().expectation(probs, values)

        model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.9, n_terminal=0)
        with pytest.raises(RuntimeError, match=r"no 0\.9-contraction"):
            robust_value_iteration(model, Doubling("none"))


class TestWorstCaseKernel:
    @pytest.mark.parametrize("worst_value", WORST_VALUES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_attains_the_robust_values_and_lies_in_the_set(self, kind, worst_value):
        uncertainty = UncertaintySet(kind, 0.25, worst_value)
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

        def row(*arguments):
            return worst_case_kernel(model, UncertaintySet(*arguments), v)[0, 0].tolist()

        # TV moves 0.5 from state 0, then 0.1 from the terminal state, to state 1.
        assert row("tv", 0.6) == pytest.approx([0.0, 0.9, 0.1])
        assert row("contamination", 0.6) == pytest.approx([0.2, 0.72, 0.08])
        # A fail state of value 1: only state 0 is better than that.
        assert row("tv", 0.6, 1.0) == pytest.approx([0.0, 0.3, 0.2, 0.5])
        assert row("contamination", 0.6, 1.0) == pytest.approx([0.2, 0.12, 0.08, 0.6])
        assert row("none") == pytest.approx([0.5, 0.3, 0.2])
        q = robust_bellman(model, UncertaintySet("tv", 0.6), v)
        assert q.squeeze(-1).tolist() == pytest.approx([-0.45, -0.45, 0.0])  # 0.5 * 0.9 * -1

    def test_leaves_the_model_as_it_was(self):
        model = random_dec_pomdp(3, (2, 2), seed=0)
        before = model.kernel.clone()
        for kind in ("none", *KINDS):
            uncertainty = UncertaintySet(kind, 0.0)
            worst_case_kernel(model, uncertainty, torch.arange(3.0)).zero_()
        assert torch.equal(model.kernel, before)


class TestTheorem3:
    @pytest.mark.parametrize("worst_value", WORST_VALUES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_robust_value_never_exceeds_that_of_a_kernel_inside(self, kind, worst_value):
        uncertainty = UncertaintySet(kind, 0.3, worst_value)
        largest = 0.0
        for model in small_models(10):
            robust = robust_values(model, uncertainty)
            task = model if worst_value is None else model.with_fail_state(worst_value)
            for seed in range(10):
                kernel = random_kernel(model, uncertainty, seed)
                acting = ~model.terminal
                rows = kernel[: model.n_states][acting]
                assert uncertainty.contains(model.kernel[acting], rows).all()
                gap = optimal_values(task, kernel)[0][: model.n_states] - robust
                assert gap.min() >= -1e-9
                largest = max(largest, gap.max().item())
        if worst_value is not None and kind == "contamination":
            assert largest < 1e-9  # with a fail state contamination leaves no choice
        else:
            assert largest > 0.05  # drawn kernels are no worst ones

    @pytest.mark.parametrize("kind", KINDS)
    def test_policies_keep_the_promise(self, kind):
        # What is executed is the robust greedy policy; its value inside the set is no lower either.
        uncertainty = UncertaintySet(kind, 0.3)
        for model in small_models(5):
            found = robust_value_iteration(model, uncertainty)
            policy = greedy_joint_actions(found.q)
            for seed in range(5):
                kernel = random_kernel(model, uncertainty, seed)
                q, _ = policy_evaluation(model, policy, kernel)
                assert (q >= found.q - 1e-9).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_kernels_outside_can_break_it(self, kind):
        # "win" (1, of value 10) is reached with 0.6 by joint action (1, 1); see gamble_or_safe.
        model, uncertainty = gamble_or_safe(), UncertaintySet(kind, 0.3)
        robust = robust_values(model, uncertainty)[0, 0, 0]
        outside = model.kernel.clone()
        outside[0, 0, 0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
        assert not uncertainty.contains(model.kernel, outside).all()
        assert optimal_values(model, outside)[0][0, 0, 0] == 0.0
        assert robust > 1.0


def gamble_or_safe():
    """State 0: joint action (1, 1) gambles, (2, 2) is safe, disagreement ends the episode.

    gamma = 0.5. State 1 ("win") pays 10 and ends, state 2 ("medium") pays 5 and ends, state 3 is
    terminal: V(1) = 10, V(2) = 5, V(3) = 0. The gamble wins with 0.6, else ends; safe is sure.
    """
    kernel = torch.zeros(4, 2, 2, 4, dtype=torch.float64)
    kernel[1:, ..., 3] = 1.0
    kernel[0, 0, 1, 3] = kernel[0, 1, 0, 3] = 1.0
    kernel[0, 0, 0] = torch.tensor([0.0, 0.6, 0.0, 0.4], dtype=torch.float64)
    kernel[0, 1, 1] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    reward = torch.zeros(4, 2, 2, dtype=torch.float64)
    reward[1], reward[2] = 10.0, 5.0
    return DecPOMDP(kernel, reward, 0.5, torch.tensor([False, False, False, True]))


class TestSetsDiffer:
    # nominal        gamble 0.5 * 0.6 * 10               = 3.0    safe 0.5 * 5       = 2.5
    # contamination  gamble 0.5 * 0.7 * 0.6 * 10         = 2.1    safe 0.5 * 0.7 * 5 = 1.75
    # TV             gamble 0.5 * (0.6 - 0.3) * 10       = 1.5    safe 0.5 * 0.7 * 5 = 1.75
    # Contamination scales every action alike; TV takes its mass from the best outcomes first.
    @pytest.mark.parametrize("worst_value", [None, 0.0])
    @pytest.mark.parametrize(
        "kind, rho, gamble, safe, best",
        [
            ("none", 0.0, 3.0, 2.5, [0, 0]),
            ("contamination", 0.3, 2.1, 1.75, [0, 0]),
            ("tv", 0.3, 1.5, 1.75, [1, 1]),
        ],
    )
    def test_optimal_joint_actions(self, kind, rho, gamble, safe, best, worst_value):
        q = robust_values(gamble_or_safe(), UncertaintySet(kind, rho, worst_value))
        expected = [[gamble, 0.0], [0.0, safe]]
        torch.testing.assert_close(q[0], torch.tensor(expected, dtype=torch.float64))
        assert greedy_joint_actions(q)[0].tolist() == best

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_operator_where_the_next_state_is_certain(self, kind):
        q = robust_values(gamble_or_safe(), UncertaintySet(kind, 0.3))
        assert q[0, 1, 1].item() == pytest.approx(1.75)

    def test_worst_value_above_every_value_is_optimistic_under_contamination_only(self):
        # Rewards of -1 per step for ever, gamma = 0.5: V = -2. A fail state of 0 is the best place.
        model = DecPOMDP(torch.ones(1, 1, 1), -torch.ones(1, 1), gamma=0.5)
        values = {
            kind: robust_values(model, UncertaintySet(kind, 0.5, worst_value=0.0)).item()
            for kind in KINDS
        }
        # V = -1 + 0.5 * 0.5 V = -4/3; TV moves no mass.
        assert values == {"contamination": pytest.approx(-4 / 3), "tv": pytest.approx(-2.0)}


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
                function(model, UncertaintySet("tv", 0.1), torch.zeros(3, 1))
            values = torch.zeros(3)
            values[0] = torch.nan
            with pytest.raises(ValueError, match=r"values must be finite, got \[nan, 0\.0"):
                function(model, UncertaintySet("tv", 0.1), values)
