"""The mean-CVaR set of the docs: a file of a user's, in everything that takes a set."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
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
from torchrl_drigm.uncertainty import CVaR, find_set


def distributions(n=40, outcomes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = 3 * torch.randn(n, outcomes, generator=generator, dtype=torch.float64)
    probs = torch.rand(n, outcomes, generator=generator, dtype=torch.float64)
    probs[:: n // 4, 1] = 0.0
    return values, probs / probs.sum(-1, keepdim=True)


def linear_program(values, probs, rho, weight):
    """Worst expectation of distributions between two multiples of the nominal one."""
    least, most = 1 - weight, 1 - weight + weight / (1 - rho)
    bounds = [(least * p, most * p) for p in probs]
    found = linprog(values, A_eq=np.ones((1, len(values))), b_eq=[1.0], bounds=bounds)
    assert found.status == 0, found.message
    return found.fun


class TestExact:
    @pytest.mark.parametrize("weight", [0.1, 0.5, 1.0])
    @pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
    def test_worst_case_is_that_of_a_linear_program(self, mean_cvar, rho, weight):
        values, probs = distributions()
        ours = mean_cvar.MeanCVaR(rho, weight).expectation(probs, values)
        pairs = zip(values.numpy(), probs.numpy(), strict=True)
        expected = [linear_program(v, p, rho, weight) for v, p in pairs]
        torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))
        if weight == 0.5:
            assert torch.equal(worst_case_expectation(values, probs, rho, "mean_cvar"), ours)

    @pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
    def test_worst_kernel_is_inside_and_samples_are_no_worse(self, mean_cvar, rho):
        values, probs = distributions(seed=1)
        ball = mean_cvar.MeanCVaR(rho)
        assert ball.contains(probs, ball.worst_kernel(probs, values)).all()
        drawn = ball.sample(probs, torch.Generator().manual_seed(0))
        assert ball.contains(probs, drawn).all()
        gain = (drawn * values).sum(-1) - ball.expectation(probs, values)
        assert (gain >= -1e-9).all() and (drawn - probs).abs().sum(-1).gt(1e-3).any()

    def test_by_hand(self, mean_cvar):
        """Half 0, half 1: CVaR of the worst half is 0, the mean 1/2, of which a quarter counts."""
        half, values = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
        ball = mean_cvar.MeanCVaR(0.5, weight=0.75)
        assert ball.worst_kernel(half, values).tolist() == [0.875, 0.125]
        assert not ball.contains(half, CVaR(0.5).worst_kernel(half, values))

    @pytest.mark.parametrize("weight", [0.0, 1.0])
    def test_between_the_nominal_model_and_cvar(self, mean_cvar, weight):
        values, probs = distributions(seed=2)
        ends = {0.0: (probs * values).sum(-1), 1.0: CVaR(0.6).expectation(probs, values)}
        found = mean_cvar.MeanCVaR(0.6, weight).expectation(probs, values)
        torch.testing.assert_close(found, ends[weight])

    def test_robust_value_iteration(self, mean_cvar):
        ball = mean_cvar.MeanCVaR(0.6)
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
    def test_train_against_exact(self, mean_cvar):
        model = random_dec_pomdp(4, (2, 2), seed=0, gamma=0.8, structure="additive")
        found = train_against_exact(model, mean_cvar.MeanCVaR(0.8), "vdn", steps=700)
        assert found.error < 0.02 and found.regret < 1e-9
        nominal = (optimal_values(model)[0] - found.exact).abs().max() / found.value_range
        assert nominal > 0.1

    def test_the_dual_converges_to_the_exact_value(self, mean_cvar):
        ball = mean_cvar.MeanCVaR(0.5)
        values = torch.tensor([[1.0, 4.0, 9.0], [2.0, 3.0, 8.0]])
        probs = torch.tensor([[0.2, 0.6, 0.2], [0.4, 0.2, 0.4]])
        exact = ball.expectation(probs, values)
        torch.manual_seed(0)

        class TableDual(nn.Module):
            def __init__(self):
                super().__init__()
                self.eta = nn.Parameter(torch.zeros(2, 1))

            def forward(self, state, action):
                return self.eta[state.squeeze(-1).long()]

        loss = table_loss(dual=TableDual(), n_agents=1)
        loss.make_value_estimator(ball, gamma=0.9)
        (eta,) = loss.dual_network_params.values(True, True)
        steps = 800
        optimizer = torch.optim.Adam([eta], lr=0.1)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, steps)
        for _ in range(steps):
            data = draw_steps(values, probs)
            loss(data)["loss_dual"].backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        backup = ball.backup(values.unsqueeze(-1), eta.detach()[:, None].expand(2, 3, 1))
        sigma = (backup.squeeze(-1) * probs).sum(-1)
        assert ((sigma - exact).abs() / exact < 0.02).all(), (sigma, exact)


class TestInLosses:
    def make(self, n_duals=1, **kwargs):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=n_duals)
        return make_loss(dual_network=dual, **kwargs)

    def test_by_path_by_name_and_as_an_object(self, mean_cvar):
        assert find_set("mean_cvar.MeanCVaR", may_import=False) is mean_cvar.MeanCVaR
        found = []
        for value_type, hyper in (
            (mean_cvar.MeanCVaR(0.4, 0.3), {}),
            ("mean_cvar_td0", {"rho": 0.4, "weight": 0.3}),
        ):
            torch.manual_seed(1)
            loss = self.make()
            loss.make_value_estimator(value_type, gamma=0.9, **hyper)
            assert loss.value_estimator.uncertainty == mean_cvar.MeanCVaR(0.4, 0.3)
            found.append(dict(loss(make_data(8)).items()))
        torch.testing.assert_close(*found, rtol=0, atol=0)
        assert set(found[0]) == {"loss", "loss_dual"}

    @pytest.mark.parametrize("n_duals", [2, 3])
    def test_a_dual_network_of_another_size(self, mean_cvar, n_duals):
        loss = self.make(n_duals).make_value_estimator(mean_cvar.MeanCVaR(0.4))
        message = rf"gives \(8, {n_duals}\), and MeanCVaR\(rho=0.4, weight=0.5\) needs \(8, 1\)"
        with pytest.raises(ValueError, match=message):
            loss(make_data(8))

    def test_no_dual_network(self, mean_cvar):
        with pytest.raises(ValueError, match=r"DualNetwork\(state_shape, n_agents, n_actions\)"):
            make_loss().make_value_estimator(mean_cvar.MeanCVaR(0.4))

    def test_no_worst_value(self, mean_cvar):
        with pytest.raises(ValueError, match="gives a worst value, and MeanCVaR has none"):
            self.make().make_value_estimator("mean_cvar_td0", rho=0.4, reward_lower_bound=-1.0)

    def test_numbers_out_of_range(self, mean_cvar):
        with pytest.raises(ValueError, match=r"weight must be in \[0, 1\], got 1.5. 0 is"):
            mean_cvar.MeanCVaR(0.4, weight=1.5)
        with pytest.raises(ValueError, match=r"rho must be a finite number in \[0, 1\)"):
            mean_cvar.MeanCVaR(1.0)
