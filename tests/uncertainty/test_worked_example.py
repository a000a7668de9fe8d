"""The χ² ball of the docs: a file of a user's, in everything that takes a set."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from tests.objectives.conftest import (
    N_ACTIONS,
    N_AGENTS,
    STATE,
    make_data,
    make_loss,
    table_loss,
)
from tests.objectives.single_samples import draw_steps
from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives.value import worst_case_expectation
from torchrl_drigm.tabular import (
    numeric_worst_value,
    optimal_values,
    random_dec_pomdp,
    random_kernel,
    robust_value_iteration,
    robust_values,
    train_against_exact,
    worst_case_kernel,
)
from torchrl_drigm.uncertainty import find_set


def distributions(n=40, outcomes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = 3 * torch.randn(n, outcomes, generator=generator, dtype=torch.float64)
    probs = torch.rand(n, outcomes, generator=generator, dtype=torch.float64)
    probs[:: n // 4, 1] = 0.0
    return values, probs / probs.sum(-1, keepdim=True)


def convex_program(values, probs, rho):
    """Worst expectation by SciPy: linear cost, one quadratic and one linear constraint."""
    reached = probs > 0
    values, probs = values[reached], probs[reached]
    root = np.sqrt(probs)  # p = probs + root * z, so that the set is the ball |z|² <= rho
    result = minimize(
        lambda z: values @ (probs + root * z),
        np.zeros_like(probs),
        jac=lambda z: values * root,
        method="SLSQP",
        bounds=[(-r, None) for r in root],
        constraints=[
            {"type": "eq", "fun": lambda z: root @ z, "jac": lambda z: root},
            {"type": "ineq", "fun": lambda z: rho - z @ z, "jac": lambda z: -2 * z},
        ],
        options={"ftol": 1e-9, "maxiter": 500},
    )
    # 8: no better point was found along the line, which so close to the optimum is rounding
    assert result.status in (0, 8), result.message
    return result.fun


class TestExact:
    @pytest.mark.parametrize("rho", [0.01, 0.3, 1.0, 5.0, 1000.0])
    def test_worst_case_is_that_of_a_convex_program(self, chi_squared, rho):
        values, probs = distributions()
        ball = chi_squared.ChiSquared(rho)
        ours = ball.expectation(probs, values)
        expected = [
            convex_program(v.numpy(), p.numpy(), rho) for v, p in zip(values, probs, strict=True)
        ]
        torch.testing.assert_close(ours, torch.tensor(expected).double(), rtol=0, atol=2e-5)
        by_name = worst_case_expectation(values, probs, rho, "chi_squared")
        assert torch.equal(by_name, ours)

    @pytest.mark.parametrize("rho", [0.01, 0.3, 1.0, 1000.0])
    def test_worst_kernel_is_inside_and_samples_are_no_worse(self, chi_squared, rho):
        values, probs = distributions(seed=1)
        ball = chi_squared.ChiSquared(rho)
        assert ball.contains(probs, ball.worst_kernel(probs, values)).all()
        drawn = ball.sample(probs, torch.Generator().manual_seed(0))
        assert ball.contains(probs, drawn).all()
        gain = (drawn * values).sum(-1) - ball.expectation(probs, values)
        assert (gain >= -1e-9).all() and (drawn - probs).abs().sum(-1).gt(1e-3).any()

    def test_by_hand(self, chi_squared):
        """Half 0, half 1: moving m costs 2 m² / (1/2), so ρ = 1/4 pays for m = 1/4."""
        half, values = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
        ball = chi_squared.ChiSquared(0.25)
        torch.testing.assert_close(ball.worst_kernel(half, values), torch.tensor([0.75, 0.25]))
        certain = torch.tensor([0.0, 1.0])
        assert torch.equal(ball.worst_kernel(certain, values), certain)
        assert torch.equal(chi_squared.ChiSquared(0.0).worst_kernel(half, values), half)

    def test_best_duals_give_the_exact_worst_case(self, chi_squared):
        """At η of the worst kernel and c = √((1 + ρ) E(η - V)₊²), by the inverse of softplus."""
        values, probs = distributions(seed=2)
        rho = 0.3
        ball = chi_squared.ChiSquared(rho)
        eta = torch.linspace(-12, 40, 20_001, dtype=torch.float64)[:, None, None]
        short = ((eta - values).relu().square() * probs).sum(-1, keepdim=True)
        c = ((1 + rho) * short).sqrt().clamp_min(1e-3)
        dual = torch.stack([eta.expand_as(c), c + torch.log(-torch.expm1(-c))], -1)
        dual = dual.expand(-1, -1, values.shape[-1], -1)
        next_value = values.expand(len(eta), -1, -1).unsqueeze(-1)
        sigma = (ball.backup(next_value, dual).squeeze(-1) * probs).sum(-1).amax(0)
        exact = ball.expectation(probs, values)
        assert (sigma <= exact + 1e-6).all()
        torch.testing.assert_close(sigma, exact, rtol=0, atol=1e-3)

    def test_robust_value_iteration(self, chi_squared):
        ball = chi_squared.ChiSquared(0.4)
        assert numeric_worst_value(None, ball) is ball  # there is no worst value
        for seed in range(3):
            model = random_dec_pomdp(4, (2, 2), seed, gamma=0.8)
            found = robust_value_iteration(model, ball)
            worst = worst_case_kernel(model, ball, found.v)
            torch.testing.assert_close(optimal_values(model, worst)[0], found.q, rtol=0, atol=1e-8)
            assert (optimal_values(model)[0] - found.q).max() > 0.05
            for draw in range(3):
                other = optimal_values(model, random_kernel(model, ball, draw))[0]
                assert (other >= robust_values(model, ball) - 1e-9).all()


class TestLearning:
    def test_train_against_exact(self, chi_squared):
        model = random_dec_pomdp(4, (2, 2), seed=0, gamma=0.8, structure="additive")
        found = train_against_exact(model, chi_squared.ChiSquared(0.5), "vdn", steps=1000)
        assert found.error < 0.02 and found.regret < 1e-9
        nominal = (optimal_values(model)[0] - found.exact).abs().max() / found.value_range
        assert nominal > 0.1

    def test_two_duals_converge_to_the_exact_value(self, chi_squared):
        ball = chi_squared.ChiSquared(0.3)
        values = torch.tensor([[1.0, 4.0, 9.0], [2.0, 3.0, 8.0]])
        probs = torch.tensor([[0.2, 0.6, 0.2], [0.5, 0.1, 0.4]])
        exact = ball.expectation(probs, values)
        torch.manual_seed(0)

        class TableDual(nn.Module):
            def __init__(self):
                super().__init__()
                self.numbers = nn.Parameter(torch.zeros(2, 2))

            def forward(self, state, action):
                return self.numbers[state.squeeze(-1).long()]

        loss = table_loss(dual=TableDual(), n_agents=1)
        loss.make_value_estimator(ball, gamma=0.9)
        (numbers,) = loss.dual_network_params.values(True, True)
        steps = 1500
        optimizer = torch.optim.Adam([numbers], lr=0.1)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, steps)
        for _ in range(steps):
            data = draw_steps(values, probs)
            loss(data)["loss_dual"].backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        dual = numbers.detach()[:, None].expand(2, 3, 2)
        sigma = (ball.backup(values.unsqueeze(-1), dual).squeeze(-1) * probs).sum(-1)
        assert ((sigma - exact).abs() / exact < 0.02).all(), (sigma, exact)


class TestInLosses:
    def make(self, n_duals=2, **kwargs):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=n_duals)
        return make_loss(dual_network=dual, **kwargs)

    def test_by_path_by_name_and_as_an_object(self, chi_squared):
        assert find_set("chi_squared.ChiSquared", may_import=False) is chi_squared.ChiSquared
        found = []
        for value_type, hyper in (
            (chi_squared.ChiSquared(0.4), {}),
            ("chi_squared_td0", {"rho": 0.4}),
        ):
            torch.manual_seed(1)
            loss = self.make()
            loss.make_value_estimator(value_type, gamma=0.9, **hyper)
            assert loss.value_estimator.uncertainty == chi_squared.ChiSquared(0.4)
            found.append(dict(loss(make_data(8)).items()))
        torch.testing.assert_close(*found, rtol=0, atol=0)
        assert set(found[0]) == {"loss", "loss_dual"}

    def test_every_dual_number_is_logged(self, chi_squared):
        loss = self.make(log_values=True).make_value_estimator(chi_squared.ChiSquared(0.4))
        out = loss(make_data(8))
        assert set(out.keys()) == set(loss.out_keys)
        assert {"dual_value_0", "dual_value_1"} < set(out.keys())
        assert "dual_value" not in out.keys()  # noqa: SIM118

    @pytest.mark.parametrize("n_duals", [1, 3])
    def test_a_dual_network_of_another_size(self, chi_squared, n_duals):
        loss = self.make(n_duals).make_value_estimator(chi_squared.ChiSquared(0.4))
        message = rf"gives \(8, {n_duals}\), and ChiSquared\(rho=0.4\) needs \(8, 2\).* n_duals=2"
        with pytest.raises(ValueError, match=message):
            loss(make_data(8))

    def test_no_dual_network(self, chi_squared):
        with pytest.raises(ValueError, match=r"DualNetwork\(.* n_actions, n_duals=2\)"):
            make_loss().make_value_estimator(chi_squared.ChiSquared(0.4))

    def test_no_worst_value(self, chi_squared):
        with pytest.raises(ValueError, match="gives a worst value, and ChiSquared has none"):
            self.make().make_value_estimator("chi_squared_td0", rho=0.4, reward_lower_bound=-1.0)
        with pytest.raises(ValueError, match="ChiSquared needs rho, got"):
            self.make().make_value_estimator("chi_squared_td0")
