"""The dual network in RobustQMixerLoss: what it sees, what reaches it, what it converges to."""

import re

import pytest
import torch
from tensordict import TensorDict
from tensordict.utils import unravel_key
from torch import nn

from tests.objectives.conftest import (
    N_ACTIONS,
    N_AGENTS,
    STATE,
    gradients,
    make_data,
    make_dual,
    make_loss,
    table_loss,
)
from tests.objectives.single_samples import draw_steps
from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda, worst_case_expectation
from torchrl_drigm.uncertainty import KL, ChiSquared, CVaR


class TestDual:
    def test_gradients_reach_only_their_own_parameters(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.3, worst_value=-5.0)
        out = loss(make_data(64))
        names = [name for name, p in loss.named_parameters() if p.requires_grad]
        assert any(name.startswith("dual_network") for name in names)
        for key in ("loss", "loss_dual"):
            grads = gradients(loss, out[key])
            for name, grad in grads.items():
                belongs = name.startswith("dual_network") == (key == "loss_dual")
                assert (grad is not None and grad.abs().sum() > 0) == belongs, (key, name)

    def test_dual_sees_the_actions_taken(self):
        """Not the greedy ones, which the Q-network writes under the same key."""

        class ActionSum(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(()))

            def forward(self, state, action):
                return self.scale * action.sum(-1, keepdim=True).float()

        loss = make_loss(dual_network=ActionSum(), log_values=True)
        loss.make_value_estimator("tv_td0", rho=0.3)
        data = make_data(64)
        data["agents", "action"] = torch.randint(N_ACTIONS, (64, N_AGENTS))
        taken = data["agents", "action"].clone()
        out = loss(data)
        torch.testing.assert_close(out["dual_value"], taken.sum(-1).float().mean())
        assert torch.equal(data["agents", "action"], taken)

    def test_keys(self):
        loss = make_loss(dual_network=make_dual(), log_values=True)
        loss.make_value_estimator("tv_td0", rho=0.3)
        out = loss(make_data(8))
        assert set(out.keys()) == set(loss.out_keys)
        assert out["loss"].requires_grad and out["loss_dual"].requires_grad
        for key in ("pred_value", "target_value", "dual_value"):
            assert not out[key].requires_grad
        assert "state" in loss.in_keys and ("agents", "action") in loss.in_keys

    def test_dispatch_returns_both_losses(self):
        loss = make_loss(mixer="vdn", dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.3)
        data = make_data(8)
        expected = loss(data.clone())
        keys = [unravel_key(key) for key in loss.in_keys]
        flat = {"_".join(k) if isinstance(k, tuple) else k: data[k] for k in keys}
        value, dual = loss(**flat)
        assert torch.equal(value, expected["loss"]) and torch.equal(dual, expected["loss_dual"])

    def test_no_gradient_through_the_target(self):
        loss = make_loss(delay_value=False)
        loss.make_value_estimator("contamination_td0", gamma=1.0, rho=0.1)
        data = make_data(16)
        analytic = gradients(loss, loss(data)["loss"])
        with torch.no_grad():
            copy_ = data.clone()
            loss(copy_)
        frozen = make_loss(delay_value=True)
        for name in ("local_value_network", "mixer_network"):
            source = getattr(frozen, f"{name}_params")
            getattr(frozen, f"target_{name}_params").data.update_(source.data)
        frozen.make_value_estimator("contamination_td0", gamma=1.0, rho=0.1)
        for name, grad in gradients(frozen, frozen(data.clone())["loss"]).items():
            torch.testing.assert_close(analytic[name], grad)

    @pytest.mark.parametrize("worst_value", [0.0, -4.0])
    def test_dual_converges_to_the_conditional_quantile(self, worst_value):
        """A stochastic tabular problem: eta(s, a) must learn the (1-rho)-quantile of V'.

        Each state s has three outcomes V' of known probability. The linear loss (Eq. 17) reaches
        the exact quantile and sigma within 2 %; the squared one of the released configuration
        measurably does not.
        """
        rho = 0.3
        values = torch.tensor([[1.0, 4.0, 9.0], [2.0, 3.0, 8.0]])
        probs = torch.tensor([[0.2, 0.6, 0.2], [0.5, 0.1, 0.4]])
        quantile = torch.tensor([4.0, 8.0])  # smallest value with P(V' <= value) >= 0.7
        exact = worst_case_expectation(values, probs, rho, "tv", worst_value)
        reached = {}
        for dual_loss in ("linear", "squared"):
            reached[dual_loss] = self._train_dual(
                values, probs, rho, worst_value, dual_loss, steps=600
            )
        scale = exact.abs()
        eta, sigma = reached["linear"]
        assert ((eta - quantile).abs() / quantile < 0.02).all(), eta
        assert ((sigma - exact).abs() / scale < 0.02).all(), sigma
        eta, sigma = reached["squared"]
        assert ((eta - quantile).abs() / quantile > 0.1).any(), eta
        assert ((sigma - exact).abs() / scale > 0.05).any(), sigma

    @staticmethod
    def _train_dual(values, probs, rho, worst_value, dual_loss, steps):
        """Sample outcomes as VDN values of one agent and step on ``loss_dual`` alone."""
        torch.manual_seed(0)

        class TableDual(nn.Module):
            def __init__(self):
                super().__init__()
                self.eta = nn.Parameter(torch.zeros(2, 1))

            def forward(self, state, action):
                return self.eta[state.squeeze(-1).long()]

        loss = table_loss(dual=TableDual(), dual_loss=dual_loss, n_agents=1)
        loss.make_value_estimator("tv_td0", gamma=0.9, rho=rho, worst_value=worst_value)
        params = list(loss.dual_network_params.values(True, True))
        optimizer = torch.optim.Adam(params, lr=0.1)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, steps)
        for _ in range(steps):
            data = draw_steps(values, probs)
            loss(data)["loss_dual"].backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        eta = params[0].detach().expand(2, 3)
        sigma = loss.value_estimator.robust_value(values, eta)
        return params[0].detach().squeeze(-1), (sigma * probs).sum(-1)


class TestSetsOfThePackage:
    """CVaR with one dual number, KL and χ² with two."""

    SETS = pytest.mark.parametrize("ball", [CVaR(0.4), KL(0.3), ChiSquared(0.4)], ids=str)

    @pytest.mark.parametrize(
        "ball", [CVaR(0.4), CVaR(0.8), KL(0.05), KL(0.5), ChiSquared(0.4)], ids=str
    )
    def test_duals_learned_from_single_samples_reach_the_exact_worst_case(self, ball):
        values = torch.tensor([[1.0, 4.0, 9.0], [2.0, 3.0, 8.0]])
        probs = torch.tensor([[0.2, 0.6, 0.2], [0.5, 0.1, 0.4]])
        torch.manual_seed(0)

        class TableDual(nn.Module):
            def __init__(self):
                super().__init__()
                self.numbers = nn.Parameter(torch.zeros(2, ball.n_duals))

            def forward(self, state, action):
                return self.numbers[state.squeeze(-1).long()]

        loss = table_loss(dual=TableDual(), n_agents=1)
        loss.make_value_estimator(ball, gamma=0.9)
        (numbers,) = loss.dual_network_params.values(True, True)
        steps = 700
        optimizer = torch.optim.Adam([numbers], lr=0.1)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, steps)
        for _ in range(steps):
            loss(draw_steps(values, probs))["loss_dual"].backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        duals = numbers.detach()[:, None].expand(2, 3, ball.n_duals)
        sigma = (ball.backup(values.unsqueeze(-1), duals).squeeze(-1) * probs).sum(-1)
        exact = ball.expectation(probs, values)
        assert ((sigma - exact).abs() / exact < 0.02).all(), (sigma, exact)

    @SETS
    def test_size_zero_is_torchrls_own_target_to_the_last_bit(self, ball):
        data, found = make_data(32), {}
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=ball.n_duals)
        for estimator in ("td0", ball.replace(rho=0.0)):
            loss = make_loss(dual_network=dual, log_values=True)
            loss.make_value_estimator(estimator, gamma=0.9)
            batch = data.clone()
            found[str(estimator)] = (*(loss(batch)[k] for k in ("loss", "target_value")), batch)
        (*plain, before), (*robust, after) = found.values()
        assert all(torch.equal(*pair) for pair in zip(plain, robust, strict=True))
        assert torch.equal(before["td_error"], after["td_error"])

    @SETS
    def test_all_dual_numbers_are_trained_and_logged(self, ball):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=ball.n_duals)
        loss = make_loss(dual_network=dual, log_values=True).make_value_estimator(ball)
        out = loss(make_data(8))
        assert set(out.keys()) == set(loss.out_keys)
        logged = ["dual_value"] if ball.n_duals == 1 else ["dual_value_0", "dual_value_1"]
        assert [key for key in loss.out_keys if key.startswith("dual_value")] == logged
        out["loss_dual"].backward()
        bias = loss.dual_network_params["module", "head", "2", "bias"].grad
        assert bias.shape == (ball.n_duals,) and (bias != 0).all()

    @SETS
    def test_the_value_that_a_dual_number_follows_gets_no_gradient(self, ball):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=ball.n_duals)
        loss = make_loss(dual_network=dual).make_value_estimator(ball)
        grads = gradients(loss, loss(make_data(8))["loss_dual"])
        assert all(grad is None for name, grad in grads.items() if not name.startswith("dual"))

    @SETS
    def test_only_a_loss_knows_the_value_that_a_dual_number_follows(self, ball):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=16, n_duals=ball.n_duals)
        loss = make_loss(dual_network=dual).make_value_estimator(ball, gamma=0.5)
        estimator, data, value = loss.value_estimator, make_data(8), torch.randn(8, 1)
        message = r"counts from the team value of the actions taken, which a loss knows. Use it in"
        with pytest.raises(ValueError, match=message):
            estimator.value_estimate(data, next_value=value)
        numbers = estimator.dual_around(torch.zeros(8, ball.n_duals), value)
        assert torch.equal(numbers[:, :1], value) and not numbers[:, 1:].any()
        found = estimator.value_estimate(data, next_value=value, dual_value=numbers)
        assert found.shape == (8, 1)

    @SETS
    def test_no_dual_network(self, ball):
        number = ", n_duals=2" if ball.n_duals == 2 else ""
        message = rf"{type(ball).__name__}\(.*\) needs a dual network.* n_actions{number}\)"
        with pytest.raises(ValueError, match=message):
            make_loss().make_value_estimator(f"{ball.name}_td0", rho=0.3)

    @SETS
    def test_a_dual_network_of_another_size(self, ball):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, n_duals=3)
        loss = make_loss(dual_network=dual).make_value_estimator(ball)
        message = rf"gives \(8, 3\), and {type(ball).__name__}\(.*\) needs \(8, {ball.n_duals}\)"
        with pytest.raises(ValueError, match=message):
            loss(make_data(8))

    @pytest.mark.parametrize("key", [("next", "reward"), "state"], ids=str)
    @SETS
    def test_what_is_no_number_is_named(self, ball, key):
        dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, n_duals=ball.n_duals)
        loss = make_loss(dual_network=dual).make_value_estimator(ball)
        data = make_data(8)
        data[key][3] = torch.nan
        with pytest.raises(
            ValueError, match=rf"entries that are not finite in {re.escape(repr(key))}"
        ):
            loss(data)


class TestWhatIsLeftToLearn:
    """Of an outcome that is certain, by a dual network that still says 0 (docs/theory.md)."""

    REWARD, NEXT = torch.tensor([[3.0], [-1.0]]), torch.tensor([[10.0], [10.0]])
    VALUE = torch.tensor([[12.0], [8.0]])  # r + 0.9 V'

    def target(self, uncertainty):
        estimator = RobustTD0(uncertainty, gamma=0.9)
        never = torch.zeros(2, 1, dtype=torch.bool)
        data = {"next": {"reward": self.REWARD, "done": never, "terminated": never}}
        numbers = estimator.dual_around(torch.zeros(2, 1), self.VALUE)
        data = TensorDict(data, [2])
        return estimator.value_estimate(data, next_value=self.NEXT, dual_value=numbers)

    @pytest.mark.parametrize("rho", [0.0, 0.2, 0.5, 0.9])
    def test_nothing_where_the_set_is_joint_with_the_reward(self, rho):
        found = self.target(CVaR(rho, joint_with_reward=True))
        torch.testing.assert_close(found, self.VALUE)

    @pytest.mark.parametrize("lmbda", [0.0, 0.5, 1.0])
    def test_nothing_over_several_steps(self, lmbda):
        """A reward of 1 for ever is worth 10."""
        estimator = RobustTDLambda(CVaR(0.5, joint_with_reward=True), gamma=0.9, lmbda=lmbda)
        value, never = torch.full((1, 6, 1), 10.0), torch.zeros(1, 6, 1, dtype=torch.bool)
        data = {"reward": torch.ones(1, 6, 1), "done": never, "terminated": never}
        found = estimator.value_estimate(
            TensorDict({"next": data}, [1, 6]),
            next_value=value,
            dual_value=estimator.dual_around(torch.zeros(1, 6, 1), value),
        )
        torch.testing.assert_close(found, value)

    def test_the_reward_where_it_is_one_of_the_next_state_alone(self):
        # 12 is above 10: 12 - 2 / 0.5; 8 is below it, and the target what it says
        expected = torch.tensor([[3.0 + 0.9 * 8.0], [-1.0 + 0.9 * 8.0]])
        torch.testing.assert_close(self.target(CVaR(rho=0.5)), expected)
