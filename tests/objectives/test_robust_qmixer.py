"""RobustQMixerLoss: equal to TorchRL's where nominal, and to hand-worked numbers where robust."""

import copy

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from tensordict.utils import unravel_key
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import VDNMixer
from torchrl.objectives import HardUpdate, SoftUpdate, ValueEstimators
from torchrl.objectives.multiagent import QMixerLoss
from torchrl.objectives.value import TD0Estimator

from tests.objectives.conftest import (
    N_ACTIONS,
    N_AGENTS,
    Q_OUT_KEYS,
    STATE,
    make_data,
    make_mixer,
    make_qnet,
)
from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives import RobustQMixerLoss, RobustValueEstimators
from torchrl_drigm.objectives.value import (
    ContaminationTD0Estimator,
    TVTD0Estimator,
    worst_case_expectation,
)


def make_loss(cls=RobustQMixerLoss, mixer="qmix", action_space="categorical", seed=0, **kwargs):
    """A loss whose parameters depend on the seed only, with target networks that differ."""
    torch.manual_seed(seed)
    qnet, mixer = make_qnet(action_space), make_mixer(mixer)
    loss = cls(qnet, mixer, action_space=action_space, **kwargs)
    if loss.delay_value:
        SoftUpdate(loss, eps=0.9)
        generator = torch.Generator().manual_seed(seed + 1)
        for name in ("target_local_value_network_params", "target_mixer_network_params"):
            for p in getattr(loss, name).values(True, True):
                p.data.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return loss


def make_dual():
    return DualNetwork(state_shape=STATE, n_agents=N_AGENTS, n_actions=N_ACTIONS, hidden_size=16)


def gradients(loss_module, loss):
    names, params = zip(*loss_module.named_parameters(), strict=True)
    params = [p for p in params if p.requires_grad]
    return dict(zip(names, torch.autograd.grad(loss, params, allow_unused=True), strict=False))


class TestNominal:
    """rho = 0 is TorchRL's own result, to the last bit."""

    @pytest.mark.parametrize("estimator", ["td0", "tdlambda"])
    @pytest.mark.parametrize("delay_value", [True, False])
    @pytest.mark.parametrize("action_space", ["categorical", "one-hot"])
    @pytest.mark.parametrize("mixer", ["vdn", "qmix"])
    def test_bit_for_bit(self, mixer, action_space, delay_value, estimator):
        kwargs = {"mixer": mixer, "action_space": action_space, "delay_value": delay_value}
        ours, theirs = make_loss(**kwargs), make_loss(QMixerLoss, **kwargs)
        hyper = {"gamma": 0.93} | ({"lmbda": 0.8} if estimator == "tdlambda" else {})
        ours.make_value_estimator(f"contamination_{estimator}", rho=0.0, **hyper)
        theirs.make_value_estimator(estimator, **hyper)
        for seed in range(5):
            data = make_data(8, 6, action_space=action_space, seed=seed)
            ours_data, theirs_data = data.clone(), data.clone()
            ours_out, theirs_out = ours(ours_data), theirs(theirs_data)
            assert list(ours_out.keys()) == list(theirs_out.keys()) == ["loss"]
            assert torch.equal(ours_out["loss"], theirs_out["loss"])
            assert torch.equal(ours_data["td_error"], theirs_data["td_error"])
            ours_grad = gradients(ours, ours_out["loss"])
            theirs_grad = gradients(theirs, theirs_out["loss"])
            assert ours_grad.keys() == theirs_grad.keys()
            for name, grad in theirs_grad.items():
                assert torch.equal(ours_grad[name], grad), name
        assert set(ours.in_keys) == set(theirs.in_keys)
        assert ours.out_keys == theirs.out_keys

    def test_default_estimator(self):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        data = make_data(32)
        assert torch.equal(ours(data.clone())["loss"], theirs(data.clone())["loss"])

    @pytest.mark.parametrize("value_type", list(ValueEstimators)[:3])
    def test_torchrl_estimators_still_work(self, value_type):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        ours.make_value_estimator(value_type, gamma=0.9)
        theirs.make_value_estimator(value_type, gamma=0.9)
        data = make_data(4, 5)
        assert torch.equal(ours(data.clone())["loss"], theirs(data.clone())["loss"])

    def test_torchrl_estimator_instance(self):
        loss = make_loss()
        estimator = TD0Estimator(gamma=0.9, value_network=loss.global_value_network)
        estimator.set_keys(value="chosen_action_value")
        loss.make_value_estimator(estimator)
        other = make_loss(QMixerLoss)
        other.make_value_estimator("td0", gamma=0.9)
        data = make_data(8)
        assert torch.equal(loss(data.clone())["loss"], other(data.clone())["loss"])

    @pytest.mark.parametrize("mixer", ["vdn", "qmix"])
    @pytest.mark.parametrize(("gamma", "rho"), [(0.997, 0.02), (0.99, 0.3), (0.9, 1.0)])
    def test_contamination_is_a_smaller_discount(self, mixer, gamma, rho):
        """With worst value 0: TorchRL's loss with discount gamma (1 - rho)."""
        ours, theirs = make_loss(mixer=mixer), make_loss(QMixerLoss, mixer=mixer)
        ours.make_value_estimator("contamination_td0", gamma=gamma, rho=rho, worst_value=0.0)
        theirs.make_value_estimator("td0", gamma=gamma * (1 - rho))
        for seed in range(10):
            data = make_data(64, seed=seed)
            ours_out, theirs_out = ours(data.clone()), theirs(data.clone())
            torch.testing.assert_close(ours_out["loss"], theirs_out["loss"], atol=1e-6, rtol=1e-6)

    def test_multi_step_contamination_is_a_smaller_discount(self):
        ours, theirs = make_loss(), make_loss(QMixerLoss)
        ours.make_value_estimator("contamination_td0", gamma=0.9, rho=0.3)
        theirs.make_value_estimator("td0", gamma=0.9 * 0.7)
        data = make_data(16)
        data["steps_to_next_obs"] = torch.randint(1, 5, (16, 1))
        ours_out, theirs_out = ours(data.clone()), theirs(data.clone())
        torch.testing.assert_close(ours_out["loss"], theirs_out["loss"], atol=1e-6, rtol=1e-6)


class Table(nn.Module):
    """Q-values that are the observation itself, so that every number is known."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, observation):
        return observation * self.scale


class ConstantDual(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, state, action):
        return self.value.expand(*state.shape[:-1], 1)


def table_loss(dual=None, mask_key=None, n_agents=2, **kwargs):
    qnet = SafeSequential(
        TensorDictModule(Table(), [("agents", "observation")], [("agents", "action_value")]),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            action_mask_key=mask_key,
            out_keys=Q_OUT_KEYS,
        ),
    )
    mixer = TensorDictModule(
        VDNMixer(n_agents=n_agents, device="cpu"),
        [("agents", "chosen_action_value")],
        ["chosen_action_value"],
    )
    return RobustQMixerLoss(
        qnet, mixer, dual_network=dual, action_space="categorical", delay_value=False, **kwargs
    )


def table_data(terminated=(False,), truncated=(False,), reward=1.0):
    """Two agents, two actions: Q_tot(s, a) = 1 + 2 = 3 and max Q_tot(s') = 4 + 6 = 10."""
    n = len(terminated)
    observation = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).expand(n, 2, 2)
    next_observation = torch.tensor([[4.0, -1.0], [5.0, 6.0]]).expand(n, 2, 2)
    terminated, truncated = torch.tensor(terminated)[:, None], torch.tensor(truncated)[:, None]
    return TensorDict(
        {
            "agents": {"observation": observation, "action": torch.tensor([[0, 1]]).expand(n, 2)},
            "state": torch.zeros(n, 1),
            "next": {
                "agents": {"observation": next_observation},
                "state": torch.zeros(n, 1),
                "reward": torch.full((n, 1), reward),
                "terminated": terminated,
                "truncated": truncated,
                "done": terminated | truncated,
            },
        },
        [n],
    ).clone()


ENDS = {"terminated": (False, False, True), "truncated": (False, True, False)}


class TestHandWorked:
    """One ordinary, one truncated and one terminal transition, worked out by hand."""

    @pytest.mark.parametrize(
        ("worst_value", "targets"),
        [
            # y = 1 + 0.5 (0.8 * 10 + 0.2 v); a terminal next state is an outcome of value 0
            (0.0, (5.0, 5.0, 1.0)),
            (-20.0, (3.0, 3.0, -1.0)),
        ],
    )
    def test_contamination(self, worst_value, targets):
        loss = table_loss()
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, worst_value=worst_value)
        data = table_data(**ENDS)
        out = loss(data)
        errors = torch.tensor([(3.0 - y) ** 2 for y in targets])
        torch.testing.assert_close(data["td_error"].squeeze(-1), errors)
        torch.testing.assert_close(out["loss"], errors.mean())

    @pytest.mark.parametrize(
        ("worst_value", "eta", "targets"),
        [
            # y = 1 + 0.5 (min(eta, V') - 0.2 (eta - v)_+), V' = 10, 10, 0
            (0.0, 5.0, (3.0, 3.0, 0.5)),
            (-20.0, 10.0, (3.0, 3.0, -2.0)),
            (0.0, -4.0, (-1.0, -1.0, -1.0)),
        ],
    )
    def test_total_variation(self, worst_value, eta, targets):
        loss = table_loss(dual=ConstantDual(eta))
        loss.make_value_estimator("tv_td0", gamma=0.5, rho=0.2, worst_value=worst_value)
        data = table_data(**ENDS)
        out = loss(data)
        errors = torch.tensor([(3.0 - y) ** 2 for y in targets])
        torch.testing.assert_close(data["td_error"].squeeze(-1), errors)
        sigma = (torch.tensor(targets) - 1.0) / 0.5
        torch.testing.assert_close(out["loss_dual"], -sigma.mean())

    def test_squared_dual_loss(self):
        loss = table_loss(dual=ConstantDual(5.0), dual_loss="squared")
        loss.make_value_estimator("tv_td0", gamma=0.5, rho=0.2)
        out = loss(table_data(**ENDS))
        expected = torch.tensor([4.0, 4.0, -1.0]).square().mean()
        torch.testing.assert_close(out["loss_dual"], expected)

    def test_lambda_return(self):
        """G_2 = 1 + .5 (.8*10 - 4) = 3; G_1 = 1 + .5 (.8 (.5*10 + .5*3) - 4) = 1.6."""
        loss = table_loss()
        loss.make_value_estimator(
            "contamination_tdlambda", gamma=0.5, lmbda=0.5, rho=0.2, worst_value=-20.0
        )
        data = table_data((False, False), (False, False)).unsqueeze(0)
        loss(data)
        expected = torch.tensor([[(3 - 1.6) ** 2, 0.0]])
        torch.testing.assert_close(data["td_error"].squeeze(-1), expected)

    def test_next_action_mask(self):
        """Agent 1's action 0 (value 4) is unavailable next: it must take -1; V' = -1 + 6."""
        mask = torch.tensor([[[False, True], [True, True]]])
        available = torch.ones_like(mask)
        targets = []
        for mask_key in (None, ("agents", "action_mask")):
            for double_dqn in (False, True):
                loss = table_loss(mask_key=mask_key, double_dqn=double_dqn, log_values=True)
                loss.make_value_estimator("contamination_td0", gamma=0.5)
                data = table_data()
                data["agents", "action_mask"] = available
                data["next", "agents", "action_mask"] = mask
                targets.append(loss(data)["target_value"].item())
        assert targets == [1.0 + 0.5 * 5.0] * 4

    def test_terminal_state_without_available_actions_is_worth_zero(self):
        loss = table_loss(mask_key=("agents", "action_mask"), log_values=True)
        loss.make_value_estimator("contamination_td0", gamma=0.5)
        data = table_data((True,), (False,))
        data["agents", "action_mask"] = torch.ones(1, 2, 2, dtype=torch.bool)
        data["next", "agents", "action_mask"] = torch.zeros(1, 2, 2, dtype=torch.bool)
        assert loss(data)["target_value"].item() == 1.0

    def test_reward_lower_bound_becomes_the_worst_value(self):
        loss = table_loss()
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, reward_lower_bound=-10.0)
        assert loss.value_estimator.worst_value == -20.0


def test_double_dqn_takes_the_online_choice_at_the_target_value():
    """Online prefers action 0, target values it 1 where its own best is 5."""
    qnet = SafeSequential(
        TensorDictModule(
            nn.Linear(1, 2, bias=False), [("agents", "observation")], [("agents", "action_value")]
        ),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=Q_OUT_KEYS,
        ),
    )
    values = {}
    for double_dqn in (True, False):
        qnet[0].module.weight.data = torch.tensor([[3.0], [2.0]])
        loss = RobustQMixerLoss(
            copy.deepcopy(qnet),
            make_mixer("vdn"),
            action_space="categorical",
            double_dqn=double_dqn,
            log_values=True,
        )
        HardUpdate(loss, value_network_update_interval=100)
        target = loss.target_local_value_network_params["module", "0", "module", "weight"]
        target.data.copy_(torch.tensor([[1.0], [5.0]]))
        loss.make_value_estimator("contamination_td0", gamma=0.5)
        data = make_data(1, terminated=0.0)
        data["agents", "observation"] = torch.ones(1, N_AGENTS, 1)
        data["agents", "action"] = torch.zeros(1, N_AGENTS, dtype=torch.long)
        data["next", "agents", "observation"] = torch.ones(1, N_AGENTS, 1)
        data["next", "reward"] = torch.zeros(1, 1)
        values[double_dqn] = loss(data)["target_value"].item()
    assert values == {True: 0.5 * N_AGENTS * 1.0, False: 0.5 * N_AGENTS * 5.0}


class TestSequences:
    def test_burn_in_counts_only_later_steps(self):
        data = make_data(4, 6)
        loss, all_steps = make_loss(burn_in=2), make_loss()
        out = loss(data)["loss"]
        error = data["td_error"].squeeze(-1)
        torch.testing.assert_close(out, error[:, 2:].mean())
        assert not torch.isclose(out, all_steps(data.clone())["loss"])

    def test_padding_mask(self):
        """A padded batch gives the mean over its valid steps, whatever the padding holds."""
        lengths = torch.tensor([6, 3, 1, 4])
        valid = torch.arange(6) < lengths[:, None]
        data = make_data(4, 6)
        for dual in (None, make_dual()):
            loss = make_loss(dual_network=dual, burn_in=1)
            loss.make_value_estimator("tv_td0" if dual else "contamination_td0", rho=0.1)
            padded = data.clone()
            padded["collector", "mask"] = valid
            out = loss(padded)
            counted = valid & (torch.arange(6) >= 1)
            torch.testing.assert_close(out["loss"], padded["td_error"].squeeze(-1)[counted].mean())
            scrambled = padded.clone()
            scrambled["next", "reward"][~valid] = 1e6
            scrambled["next", "agents", "observation"][~valid] = 1e6
            other = loss(scrambled)
            for key in out.keys():  # noqa: SIM118
                torch.testing.assert_close(out[key], other[key])

    def test_named_mask(self):
        loss = make_loss()
        loss.loss_mask_key = "valid"
        data = make_data(4, 6)
        data["valid"] = torch.rand(4, 6, 1) > 0.5
        out = loss(data)["loss"]
        torch.testing.assert_close(out, data["td_error"][data["valid"]].mean())

    def test_burn_in_needs_sequences(self):
        with pytest.raises(ValueError, match="burn_in=3 needs sequences"):
            make_loss(burn_in=3)(make_data(8))
        with pytest.raises(ValueError, match="burn_in=3 needs sequences"):
            make_loss(burn_in=3)(make_data(8, 3))
        with pytest.raises(ValueError, match="non-negative number of steps, got -1"):
            make_loss(burn_in=-1)


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
        n = 512
        state = torch.arange(n) % 2
        no = torch.zeros(n, 1, dtype=torch.bool)
        for _ in range(steps):
            outcome = torch.multinomial(probs[state], 1)
            value = values[state].gather(-1, outcome)  # [n, 1]
            data = TensorDict(
                {
                    "agents": {
                        "observation": torch.zeros(n, 1, 1),
                        "action": torch.zeros(n, 1, dtype=torch.long),
                    },
                    "state": state[:, None].float(),
                    "next": {
                        "agents": {"observation": value[:, None]},
                        "reward": torch.zeros(n, 1),
                        "terminated": no,
                        "done": no,
                    },
                },
                [n],
            )
            loss(data)["loss_dual"].backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        eta = params[0].detach().expand(2, 3)
        sigma = loss.value_estimator.robust_value(values, eta)
        return params[0].detach().squeeze(-1), (sigma * probs).sum(-1)


class TestEstimatorChoice:
    @pytest.mark.parametrize(
        "value_type",
        ["tv_td0", "TV_TD0", RobustValueEstimators.TV_TD0, TVTD0Estimator],
    )
    def test_by_alias_member_and_class(self, value_type):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator(value_type, gamma=0.9, rho=0.2, worst_value=-1.0)
        estimator = loss.value_estimator
        assert type(estimator) is TVTD0Estimator
        assert (estimator.rho, estimator.worst_value) == (0.2, -1.0)
        assert estimator.tensor_keys.value == "chosen_action_value"
        assert loss(make_data(8))["loss"].isfinite()

    def test_default_of_the_member(self):
        loss = make_loss()
        loss.make_value_estimator(RobustValueEstimators.CONTAMINATION_TDLAMBDA)
        assert loss.value_estimator.lmbda.item() == pytest.approx(0.95)

    def test_rho_can_be_scheduled(self):
        loss = make_loss()
        loss.make_value_estimator("contamination_td0", rho=0.0)
        before = loss(make_data(8))["loss"]
        loss.value_estimator.rho = 0.5
        assert loss(make_data(8))["loss"] != before
        with pytest.raises(ValueError, match="rho must be a finite number"):
            loss.value_estimator.rho = 2.0

    def test_a_new_set_needs_only_its_estimator_and_registration(self):
        from enum import Enum

        from torchrl.objectives.utils import register_value_estimator

        from torchrl_drigm.objectives.value import RobustTD0Estimator

        class MySets(Enum):
            PESSIMIST_TD0 = "worst value only"

        @register_value_estimator(MySets.PESSIMIST_TD0, default_kwargs={"gamma": 0.5, "rho": 1.0})
        class Pessimist(RobustTD0Estimator):
            def robust_value(self, next_value, dual_value=None):
                return torch.full_like(next_value, self.worst_value)

        for value_type in (MySets.PESSIMIST_TD0, "pessimist_td0"):
            loss = table_loss(log_values=True)
            loss.make_value_estimator(value_type, worst_value=-4.0)
            assert loss(table_data())["target_value"].item() == -1.0

    def test_state_dict_round_trip(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.2)
        other = make_loss(dual_network=make_dual(), seed=5)
        other.make_value_estimator("tv_td0", rho=0.2)
        other.load_state_dict(loss.state_dict())
        data = make_data(8)
        first, second = loss(data.clone()), other(data.clone())
        for key in first.keys():  # noqa: SIM118
            assert torch.equal(first[key], second[key])


class TestKeys:
    """Every accepted key can be renamed, nested names included."""

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("reward", "reward", ("team", "reward")),
            ("done", "done", ("flags", "done")),
            ("terminated", "terminated", ("flags", "terminated")),
            ("action", ("agents", "action"), ("agents", "chosen")),
            ("priority", "td_error", ("stats", "priority")),
            ("action_mask", ("agents", "action_mask"), ("agents", "available")),
        ],
    )
    def test_data_keys(self, name, old, new):
        expected = make_loss(mixer="vdn")(make_data(8, mask=True))["loss"]
        loss = make_loss(mixer="vdn")
        loss.set_keys(**{name: new})
        data = make_data(8, mask=True)
        for td in (data, data["next"]):
            if old in td.keys(True):
                td.rename_key_(old, new)
        assert torch.equal(loss(data)["loss"], expected)
        if name == "priority":
            assert new in data.keys(True)

    def test_network_keys(self):
        qnet = make_qnet()
        qnet = SafeSequential(
            TensorDictModule(qnet[0].module, [("agents", "observation")], [("agents", "q")]),
            QValueModule(
                action_space="categorical",
                action_value_key=("agents", "q"),
                out_keys=[("agents", "action"), ("agents", "q"), ("agents", "chosen_q")],
            ),
        )
        mixer = TensorDictModule(make_mixer("vdn").module, [("agents", "chosen_q")], ["q_tot"])
        dual = TensorDictModule(make_dual(), ["world", ("agents", "action")], ["eta"])
        loss = RobustQMixerLoss(qnet, mixer, dual_network=dual, action_space="categorical")
        SoftUpdate(loss, eps=0.9)
        loss.set_keys(
            action_value=("agents", "q"),
            local_value=("agents", "chosen_q"),
            global_value="q_tot",
            dual_value="eta",
        )
        loss.make_value_estimator("tv_td0", rho=0.1)
        data = make_data(8)
        data.rename_key_("state", "world")
        assert set(loss(data).keys()) == {"loss", "loss_dual"}

    def test_dual_output_key_must_match(self):
        dual = TensorDictModule(make_dual(), ["state", ("agents", "action")], ["eta"])
        loss = make_loss(dual_network=dual)
        loss.make_value_estimator("tv_td0", rho=0.1)
        with pytest.raises(ValueError, match=r"set_keys\(dual_value=...\)"):
            loss(make_data(8))


class TestErrors:
    @pytest.mark.parametrize("value_type", ["tv_td0", TVTD0Estimator])
    def test_tv_without_dual_network(self, value_type):
        with pytest.raises(ValueError, match=r"dual_network=DualNetwork\(state_shape"):
            make_loss().make_value_estimator(value_type, gamma=0.9, rho=0.1)

    @pytest.mark.parametrize("rho", [-0.01, 1.01, float("nan"), float("inf")])
    @pytest.mark.parametrize("value_type", ["contamination_td0", "contamination_tdlambda"])
    def test_rho(self, value_type, rho):
        with pytest.raises(ValueError, match=r"rho must be a finite number in \[0, 1\]"):
            make_loss().make_value_estimator(value_type, rho=rho)

    @pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
    def test_gamma(self, gamma):
        with pytest.raises(ValueError, match=r"gamma must be a finite number in \[0, 1\]"):
            make_loss().make_value_estimator("contamination_td0", gamma=gamma)

    def test_worst_value(self):
        make = make_loss().make_value_estimator
        with pytest.raises(ValueError, match="worst_value must be a finite number"):
            make("contamination_td0", worst_value=float("-inf"))
        with pytest.raises(ValueError, match="exclude each other"):
            make("contamination_td0", worst_value=0.0, reward_lower_bound=-1.0)
        with pytest.raises(ValueError, match="needs a finite bound and gamma < 1"):
            make("contamination_td0", gamma=1.0, reward_lower_bound=-1.0)

    @pytest.mark.parametrize("value_type", ["contamination_td0", "contamination_tdlambda"])
    def test_average_rewards(self, value_type):
        with pytest.raises(TypeError, match="Use the RewardScaling transform"):
            make_loss().make_value_estimator(value_type, average_rewards=True)

    def test_unknown_alias_lists_the_known_ones(self):
        with pytest.raises(KeyError, match="tv_td0"):
            make_loss().make_value_estimator("kl_td0")

    @pytest.mark.parametrize("kind", ["vdn", "qmix"])
    def test_agent_count_of_the_mixer(self, kind):
        loss = RobustQMixerLoss(
            make_qnet(), make_mixer(kind, 7), action_space="categorical", delay_value=False
        )
        with pytest.raises(ValueError, match="Build the mixer with n_agents=3"):
            loss(make_data(8))

    def test_reward_with_an_agent_dimension(self):
        data = make_data(8)
        data["next", "reward"] = torch.zeros(8, N_AGENTS, 1)
        with pytest.raises(ValueError, match=r"one team reward of shape \(8, 1\), got \(8, 3, 1\)"):
            make_loss()(data)

    @pytest.mark.parametrize("mask_key", [None, ("agents", "action_mask")])
    def test_missing_next_action_mask(self, mask_key):
        loss = table_loss(mask_key=mask_key)
        data = table_data()
        data["agents", "action_mask"] = torch.ones(1, 2, 2, dtype=torch.bool)
        with pytest.raises(ValueError, match=r"the next action mask .* is missing"):
            loss(data)

    def test_not_finite(self):
        data = make_data(8)
        data["next", "reward"][3] = float("nan")
        data["agents", "observation"][0, 0, :2] = float("inf")
        with pytest.raises(ValueError, match="not finite in") as error:
            make_loss()(data)
        assert "('next', 'reward'): 1 of 8" in str(error.value)
        assert "('agents', 'observation'): 2 of 120" in str(error.value)
        assert not make_loss(check_finite=False)(data)["loss"].isfinite()

    def test_not_finite_value(self):
        loss = make_loss()
        for p in loss.target_mixer_network_params.values(True, True):
            p.data.fill_(float("nan"))
        data = make_data(8, seed=3)
        count = (~data["next", "terminated"]).sum()  # a terminal next state is worth 0 all the same
        with pytest.raises(ValueError, match=f"'target team value': {count} of 8"):
            loss(data)

    def test_total_variation_is_one_step(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.1)
        data = make_data(8)
        data["steps_to_next_obs"] = torch.full((8, 1), 3)
        with pytest.raises(ValueError, match="one-step estimator"):
            loss(data)

    def test_constructor(self):
        with pytest.raises(ValueError, match="dual_loss must be one of"):
            make_loss(dual_loss="cubic")

    def test_standalone_tv_estimator_needs_a_dual(self):
        estimator = TVTD0Estimator(gamma=0.9, rho=0.1, value_network=None)
        with pytest.raises(ValueError, match="needs a dual value"):
            estimator.value_estimate(table_data(), next_value=torch.zeros(1, 1))

    def test_flag_shape(self):
        estimator = ContaminationTD0Estimator(gamma=0.9, value_network=None)
        with pytest.raises(ValueError, match="must have the shape of the next value"):
            estimator.value_estimate(table_data(), next_value=torch.zeros(1, 1, 1))


@pytest.mark.parametrize("updater", [SoftUpdate, HardUpdate])
def test_target_updaters(updater):
    kwargs = {"eps": 0.5} if updater is SoftUpdate else {"value_network_update_interval": 1}
    loss = RobustQMixerLoss(
        make_qnet(), make_mixer(), dual_network=make_dual(), action_space="categorical"
    )
    loss.make_value_estimator("tv_td0", rho=0.1)
    update = updater(loss, **kwargs)
    with torch.no_grad():
        for p in loss.local_value_network_params.values(True, True):
            p.data.add_(1.0)
    for _ in range(2):  # HardUpdate copies on the call after its interval
        update.step()
    behind = 0.25 if updater is SoftUpdate else 0.0
    torch.testing.assert_close(
        loss.target_local_value_network_params.data + behind, loss.local_value_network_params.data
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    loss = make_loss(dual_network=make_dual())
    loss.make_value_estimator("tv_td0", rho=0.2)
    data = make_data(16)
    expected = loss(data.clone())
    other = loss.to("cuda")(data.to("cuda"))
    for key in expected.keys():  # noqa: SIM118
        torch.testing.assert_close(other[key].cpu(), expected[key], atol=1e-5, rtol=1e-5)
