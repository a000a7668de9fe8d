"""The dual network in RobustQMixerLoss: what it sees, what reaches it, what it converges to."""

import pytest
import torch
from tensordict.utils import unravel_key
from torch import nn

from tests.objectives.conftest import (
    N_ACTIONS,
    N_AGENTS,
    gradients,
    make_data,
    make_dual,
    make_loss,
    table_loss,
)
from tests.objectives.single_samples import draw_steps
from torchrl_drigm.objectives.value import (
    worst_case_expectation,
)


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
                values, probs, rho, worst_value, dual_loss, steps=1500
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
