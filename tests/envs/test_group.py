"""GroupIndex and WorstGroupReward, on the building and on a small environment."""

import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import Categorical, Composite, LazyTensorStorage, ReplayBuffer, Unbounded
from torchrl.envs import (
    Compose,
    EnvBase,
    ObservationNorm,
    RewardScaling,
    RewardSum,
    TransformedEnv,
    check_env_specs,
)

from torchrl_drigm.envs.transforms import GroupIndex, WorstGroupReward

N_AGENTS, N_ACTIONS = 2, 4
ACTION = ("agents", "action")
CLIMATES = [("Hot_Dry", "Tucson"), ("Hot_Humid", "Tampa"), ("Cool_Marine", "Seattle")]


class CountingEnv(EnvBase):
    """State: steps so far and climate. Reward: 1000. Copy ``b`` ends after ``3 + b`` steps."""

    climates = ("dry", "humid", "marine")

    def __init__(self, reward_shape=(1,)):
        super().__init__(batch_size=[3])
        self.observation_spec = Composite(state=Unbounded((3, 2)), shape=[3])
        self.action_spec = Composite(
            agents=Composite(action=Categorical(N_ACTIONS, shape=(3, N_AGENTS)), shape=[3]),
            shape=[3],
        )
        self.reward_spec = Unbounded((3, *reward_shape))
        self.climate = torch.arange(3)
        self.count = torch.zeros(3, 1)

    def _observe(self):
        done = self.count >= 3 + torch.arange(3).unsqueeze(-1)
        state = torch.cat([self.count, self.climate.unsqueeze(-1).float()], -1)
        return TensorDict({"state": state, "done": done, "terminated": done.clone()}, [3])

    def _reset(self, tensordict=None, **kwargs):
        reset = torch.ones(3, 1, dtype=torch.bool)
        if tensordict is not None:
            reset = tensordict.get("_reset", reset).reshape(3, 1)
        # in place, as the next climate: what was handed out must not change
        self.climate.copy_(torch.where(reset.squeeze(-1), (self.climate + 1) % 3, self.climate))
        self.count = self.count.masked_fill(reset, 0)
        return self._observe()

    def _step(self, tensordict):
        self.count = self.count + 1
        return self._observe().set("reward", torch.full(self.reward_spec.shape, 1000.0))

    def _set_seed(self, seed):
        torch.manual_seed(seed)


class KnownRewards(nn.Module):
    """Two groups: minus the count, and 10 minus the sum of the actions minus the climate."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, state, action):
        second = 10 - action.sum(-1) - state[..., 1]
        return self.scale * torch.stack([-state[..., 0], second], -1)


class TestGroupIndex:
    def test_specs(self):
        env = TransformedEnv(CountingEnv(), GroupIndex())
        check_env_specs(env)
        spec = env.observation_spec["group"]
        assert spec.n == 3 and spec.shape == (3, 1) and spec.dtype == torch.int64

    def test_follows_the_climate_through_partial_resets(self):
        env = TransformedEnv(CountingEnv(), GroupIndex())
        data = env.rollout(20, break_when_any_done=False)
        assert data["next", "done"].sum() > 6
        for step in (data, data["next"]):
            assert (step["group"] == step["state"][..., 1:]).all()
        # a transition stays in its environment; what follows its end may be in another one
        assert torch.equal(data["group"], data["next", "group"])
        assert data["group"].unique().tolist() == [0, 1, 2]

    def test_collector_and_nested_key(self):
        env = TransformedEnv(CountingEnv(), GroupIndex(out_key=("info", "group")))
        for batch in Collector(env, frames_per_batch=30, total_frames=60, track_traj_ids=False):
            assert (batch["info", "group"] == batch["state"][..., 1:]).all()

    def test_needs_climates(self):
        class Plain(CountingEnv):
            climates = property()

        with pytest.raises(ValueError, match="Plain has no attribute 'climates'"):
            _ = TransformedEnv(Plain(), GroupIndex()).observation_spec

    def test_not_on_stored_data(self):
        with pytest.raises(NotImplementedError, match="only runs in an environment"):
            GroupIndex()(TensorDict({"state": torch.zeros(2)}, [2]))


class TestWorstGroupReward:
    def test_by_hand(self):
        env = TransformedEnv(CountingEnv(), WorstGroupReward(KnownRewards()))
        td = env.reset()  # counts 0, climates 1, 2, 0
        td["agents", "action"] = torch.tensor([[3, 3], [0, 0], [1, 2]])
        td = env.step(td)
        # min(0, 10 - 6 - 1), min(0, 10 - 0 - 2), min(0, 10 - 3 - 0): count of the step's start
        assert td["next", "reward"].flatten().tolist() == [0, 0, 0]
        td = td["next"].clone()
        td["agents", "action"] = torch.tensor([[3, 3], [0, 0], [1, 2]])
        reward = env.step(td)["next", "reward"]
        assert reward.flatten().tolist() == [-1, -1, -1]
        assert not reward.requires_grad
        td["state"][:, 1] = 8.0  # now the second group is the worse one where actions are high
        assert env.step(td)["next", "reward"].flatten().tolist() == [-4, -1, -1]

    def test_specs(self):
        check_env_specs(TransformedEnv(CountingEnv(), WorstGroupReward(KnownRewards())))

    def test_order_in_a_chain(self):
        """The sum is of true rewards, the model sees the scaled state, and scaling comes last."""
        norm = ObservationNorm(0.0, 2.0, in_keys=["state"], standard_normal=True)
        model = KnownRewards()
        transforms = [norm, RewardSum(), WorstGroupReward(model), RewardScaling(5.0, 0.1)]
        env = TransformedEnv(CountingEnv(), Compose(*transforms))
        data = env.rollout(3)
        assert data["next", "episode_reward"][0].flatten().tolist() == [1000, 2000, 3000]
        assert data["state"][0, :, 0].tolist() == [0, 0.5, 1]
        worst = model(data["state"], data[ACTION]).amin(-1, keepdim=True)
        torch.testing.assert_close(data["next", "reward"], 0.1 * worst.detach() + 5)

    def test_on_stored_data_as_in_the_environment(self):
        model = KnownRewards()
        wanted = TransformedEnv(CountingEnv(), WorstGroupReward(model)).rollout(4)
        buffer = ReplayBuffer(
            storage=LazyTensorStorage(3), transform=WorstGroupReward(model), batch_size=3
        )
        stored = wanted.clone()
        stored["next", "reward"].fill_(1000.0)
        buffer.extend(stored)
        sample = buffer.sample()
        worst = model(sample["state"], sample[ACTION]).amin(-1, keepdim=True)
        assert torch.equal(sample["next", "reward"], worst)
        assert sample["next", "reward"].max() < 1000

    def test_the_model_does_not_drop_out(self):
        model = nn.Sequential(nn.Dropout(0.5))
        WorstGroupReward(model)
        assert not model[0].training

    def test_looking_at_stored_data_does_not_change_it(self):
        data = TransformedEnv(CountingEnv(), Compose()).rollout(4)[:, 0]
        buffer = ReplayBuffer(
            storage=LazyTensorStorage(3), transform=WorstGroupReward(KnownRewards()), batch_size=3
        )
        buffer.extend(data)
        assert not (buffer[:]["next", "reward"] == data["next", "reward"]).any()
        assert (buffer.storage[:]["next", "reward"] == data["next", "reward"]).all()

    def test_model_is_in_the_state_dict(self):
        env = TransformedEnv(CountingEnv(), WorstGroupReward(KnownRewards()))
        assert "reward_model.scale" in env.transform.state_dict()

    def test_refuses_rewards_of_agents(self):
        env = CountingEnv(reward_shape=(N_AGENTS, 1))
        with pytest.raises(ValueError, match="expected one team reward"):
            _ = TransformedEnv(env, WorstGroupReward(KnownRewards())).reward_spec


@pytest.mark.sustaingym
class TestBuilding:
    @pytest.fixture
    def base_env(self):
        pytest.importorskip(
            "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
        )
        from torchrl_drigm.envs import SustainGymEnv

        return SustainGymEnv(climates=CLIMATES, num_envs=6, n_action_levels=10, seed=0)

    def test_group(self, base_env):
        env = TransformedEnv(base_env, Compose(RewardSum(), GroupIndex()))
        check_env_specs(env)
        climate = torch.tensor([0, 1, 2, 2, 1, 0])
        start = env.reset(climate=climate)
        data = env.rollout(5, auto_reset=False, tensordict=start)
        assert (data["group"].squeeze(-1) == climate[:, None]).all()
        assert torch.equal(env.reset()["group"].squeeze(-1), base_env.climate)

    def test_worst_reward(self, base_env):
        from torchrl_drigm.modules import GroupRewardModel

        model = GroupRewardModel(3, 10, 6, 10, hidden_size=8)
        env = TransformedEnv(base_env, Compose(WorstGroupReward(model)))
        check_env_specs(env)
        data = env.rollout(4)
        worst = model(data["state"], data[ACTION]).amin(-1, keepdim=True)
        torch.testing.assert_close(data["next", "reward"], worst.detach())
