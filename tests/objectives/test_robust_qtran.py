"""RobustQTRANLoss against hand-worked numbers, and the reach of every gradient."""

import pytest
import torch
from tensordict.utils import unravel_key
from torch import nn
from torchrl.objectives import HardUpdate, ValueEstimators

from tests.objectives.conftest import N_AGENTS, make_data, make_dual
from tests.objectives.qtran import make_loss, table_data, table_loss
from torchrl_drigm.objectives import RobustQTRANLoss, RobustValueEstimators


class TestHandWorked:
    @pytest.mark.parametrize(
        ("action", "td", "opt", "nopt"),
        [
            # y = 1 + 0.5 * (0.8 * 10 + 0.2 * -5) = 4.5
            # opt: Q_1(0) + Q_2(1) - joint(0, 1) + V = 5 - 4 + 0.5 = 1.5
            # (1, 0): td 7 - 4.5; nopt: 1 + 0 - 7 + 0.5 = -5.5
            ([1, 0], 2.5**2, 1.5**2, 5.5**2),
            # (0, 0): td 1 - 4.5; nopt: 2 + 0 - 1 + 0.5 = 1.5 > 0: no penalty
            ([0, 0], 3.5**2, 1.5**2, 0.0),
        ],
    )
    def test_losses(self, action, td, opt, nopt):
        loss = table_loss()
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, worst_value=-5.0)
        data = table_data(action)
        out = loss(data)
        assert out["loss_td"].item() == pytest.approx(td)
        assert out["loss_opt"].item() == pytest.approx(opt)
        assert out["loss_nopt"].item() == pytest.approx(nopt)
        assert data["td_error"].item() == pytest.approx(td)

    def test_terminal_next_state(self):
        loss = table_loss(log_values=True)
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, worst_value=-5.0)
        out = loss(table_data([0, 0], terminated=True))
        assert out["target_value"].item() == pytest.approx(1 + 0.5 * 0.2 * -5.0)

    def test_total_variation(self):
        """eta = 6: y = 1 + 0.5 (min(6, 10) - 0.2 (6 + 5)) = 2.9."""

        class Six(nn.Module):
            def __init__(self):
                super().__init__()
                self.value = nn.Parameter(torch.tensor(6.0))

            def forward(self, state, action):
                return self.value.expand(*state.shape[:-1], 1)

        loss = table_loss(dual_network=Six(), log_values=True)
        loss.make_value_estimator("tv_td0", gamma=0.5, rho=0.2, worst_value=-5.0)
        out = loss(table_data([0, 0]))
        assert out["target_value"].item() == pytest.approx(2.9)
        assert out["loss_dual"].item() == pytest.approx(-(6 - 0.2 * 11))

    def test_masks_now_and_next(self):
        """Agent 2 must take 0 now (joint(0, 0) = 2) and 1 next (joint(1, 1) = 20)."""
        loss = table_loss(log_values=True)
        loss.make_value_estimator("contamination_td0", gamma=0.5)
        data = table_data([0, 0])
        data["state"][..., 0] = 2.0  # with 1, the greedy action of agent 2 has the same error
        data["agents", "action_mask"] = torch.tensor([[[True, True], [True, False]]])
        data["next", "agents", "action_mask"] = torch.tensor([[[True, True], [False, True]]])
        out = loss(data)
        assert out["target_value"].item() == pytest.approx(1 + 0.5 * 20)
        assert out["loss_opt"].item() == pytest.approx((2 + 0 - 2 + 0.5) ** 2)

    def test_nominal_is_rho_zero(self):
        nominal, robust = make_loss(), make_loss()
        nominal.make_value_estimator(ValueEstimators.TD0, gamma=0.9)
        robust.make_value_estimator("contamination_td0", gamma=0.9, rho=0.0)
        data = make_data(32)
        first, second = nominal(data.clone()), robust(data.clone())
        for key in ("loss_td", "loss_opt", "loss_nopt"):
            assert torch.equal(first[key], second[key])

    def test_double_dqn_takes_the_online_choice(self):
        """Where online and target networks agree it changes nothing; where they differ it does."""
        plain, double = make_loss(log_values=True), make_loss(log_values=True, double_dqn=True)
        data = make_data(64)
        same = [loss(data.clone())["target_value"] for loss in (plain, double)]
        torch.testing.assert_close(*same)
        for loss in (plain, double):
            with torch.no_grad():
                for p in loss.local_value_network_params.values(True, True):
                    p.neg_()
        differ = [loss(data.clone())["target_value"] for loss in (plain, double)]
        assert not torch.isclose(*differ)


class TestGradients:
    """Each loss reaches exactly the parameters it should, parameter by parameter."""

    REACH = {  # noqa: RUF012
        # the joint value, and the encoder whose features it shares
        "loss_td": ("joint_value_network", "local_value_network_params.module.0.module.encoder"),
        # the agents' values and the baseline; the joint value is detached
        "loss_opt": ("state_value_network", "local_value_network"),
        "loss_nopt": ("state_value_network", "local_value_network"),
        "loss_dual": ("dual_network",),
    }

    @pytest.mark.parametrize("key", list(REACH))
    def test_reach(self, key):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.3, worst_value=-5.0)
        out = loss(make_data(64))
        names = [name for name, p in loss.named_parameters() if p.requires_grad]
        params = [p for p in loss.parameters() if p.requires_grad]
        grads = torch.autograd.grad(out[key], params, allow_unused=True)
        for name, grad in zip(names, grads, strict=True):
            reached = grad is not None and bool(grad.abs().sum() > 0)
            assert reached == any(part in name for part in self.REACH[key]), name

    def test_no_gradient_into_targets(self):
        loss = make_loss()
        assert all(not p.requires_grad for p in loss.target_joint_value_network_params.values(1, 1))
        assert all(not p.requires_grad for p in loss.target_local_value_network_params.values(1, 1))


def test_one_hot_equals_categorical():
    outputs = []
    for action_space in ("categorical", "one-hot"):
        loss = make_loss(action_space=action_space, dual_network=make_dual())
        torch.manual_seed(1)
        for p in loss.dual_network_params.values(True, True):
            p.data.normal_()
        loss.make_value_estimator("tv_td0", rho=0.3)
        outputs.append(loss(make_data(16, action_space=action_space)))
    for key in outputs[0].keys():  # noqa: SIM118
        torch.testing.assert_close(outputs[0][key], outputs[1][key])


def test_sequences_honour_burn_in_and_padding():
    loss = make_loss(burn_in=1)
    data = make_data(4, 6)
    data["collector", "mask"] = torch.arange(6) < torch.tensor([6, 3, 2, 4])[:, None]
    out = loss(data)
    counted = data["collector", "mask"] & (torch.arange(6) >= 1)
    torch.testing.assert_close(out["loss_td"], data["td_error"].squeeze(-1)[counted].mean())
    scrambled = data.clone()
    scrambled["next", "reward"][~data["collector", "mask"]] = 1e6
    scrambled["agents", "observation"][~data["collector", "mask"]] = 1e6
    other = loss(scrambled)
    for key in out.keys():  # noqa: SIM118
        torch.testing.assert_close(out[key], other[key])


@pytest.mark.parametrize("value_type", ["tv_td0", RobustValueEstimators.TV_TD0])
def test_dispatch_and_keys(value_type):
    loss = make_loss(dual_network=make_dual())
    loss.make_value_estimator(value_type, gamma=0.9, rho=0.2)
    data = make_data(8)
    expected = loss(data.clone())
    assert set(expected.keys()) == set(loss.out_keys)
    keys = [unravel_key(key) for key in loss.in_keys]
    flat = {"_".join(k) if isinstance(k, tuple) else k: data[k] for k in keys}
    for value, key in zip(loss(**flat), loss.out_keys, strict=True):
        assert torch.equal(value, expected[key])


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("reward", "reward", ("team", "reward")),
        ("done", "done", ("flags", "done")),
        ("terminated", "terminated", ("flags", "terminated")),
        ("priority", "td_error", ("stats", "priority")),
        ("action_mask", ("agents", "action_mask"), ("agents", "available")),
    ],
)
def test_renamed_keys(name, old, new):
    expected = make_loss()(make_data(8, mask=True))
    loss = make_loss()
    loss.set_keys(**{name: new})
    data = make_data(8, mask=True)
    for td in (data, data["next"]):
        if old in td.keys(True):
            td.rename_key_(old, new)
    out = loss(data)
    for key in expected.keys():  # noqa: SIM118
        assert torch.equal(out[key], expected[key])
    assert name != "priority" or new in data.keys(True)


def test_target_updater_moves_both_targets():
    loss = make_loss()
    updater = HardUpdate(loss, value_network_update_interval=1)
    with torch.no_grad():
        for p in loss.parameters():
            p.add_(1.0)
    for _ in range(2):
        updater.step()
    for network in ("local_value_network", "joint_value_network"):
        torch.testing.assert_close(
            getattr(loss, f"target_{network}_params").data, getattr(loss, f"{network}_params").data
        )


def test_state_dict_round_trip():
    first, second = make_loss(), make_loss(seed=4)
    second.load_state_dict(first.state_dict())
    data = make_data(8)
    one, two = first(data.clone()), second(data.clone())
    for key in one.keys():  # noqa: SIM118
        assert torch.equal(one[key], two[key])


class TestErrors:
    def test_tv_without_dual_network(self):
        with pytest.raises(ValueError, match="needs a dual network"):
            make_loss().make_value_estimator("tv_td0", rho=0.1)

    def test_action_space(self):
        with pytest.raises(ValueError, match="'categorical' or 'one-hot' action space"):
            RobustQTRANLoss(
                nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1), action_space="binary"
            )

    def test_unsupported_estimator(self):
        with pytest.raises(NotImplementedError, match="not implemented for loss"):
            make_loss().make_value_estimator(ValueEstimators.GAE)

    def test_reward_with_an_agent_dimension(self):
        data = make_data(8)
        data["next", "reward"] = torch.zeros(8, N_AGENTS, 1)
        with pytest.raises(ValueError, match="must be one team reward"):
            make_loss()(data)

    def test_missing_next_action_mask(self):
        data = make_data(8, mask=True)
        del data["next", "agents", "action_mask"]
        with pytest.raises(ValueError, match="the next action mask"):
            make_loss()(data)

    def test_not_finite(self):
        data = make_data(8)
        data["next", "reward"][2] = float("inf")
        with pytest.raises(ValueError, match="not finite"):
            make_loss()(data)
