import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, TransformedEnv, check_env_specs

from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise

N_AGENTS, N_FEATURES = 2, 8
POSITION = [[1, 2], [5, 6]]  # of two enemies
VISIBLE = [0, 4]


class Sighting(EnvBase):
    """Observation: 1 everywhere, but 0 in both features of each enemy that is not seen."""

    def __init__(self, num_envs=3, describes=True):
        super().__init__(batch_size=[num_envs])
        batch = self.batch_size
        agents = (*batch, N_AGENTS)
        if describes:
            self.feature_index = self._feature_index
        self.observation_spec = Composite(
            agents=Composite(observation=Bounded(0, 1, (*agents, N_FEATURES)), shape=agents),
            state=Unbounded((*batch, 4)),
            shape=batch,
        )
        self.action_spec = Composite(
            agents=Composite(action=Categorical(2, shape=agents), shape=agents), shape=batch
        )
        self.reward_spec = Unbounded((*batch, 1))
        # handed out again and again, as memory shared with a simulator is
        self.seen = torch.ones(*agents, N_FEATURES)
        self.seen[:, 0, 4:7] = 0  # agent 0 never sees enemy 1

    @staticmethod
    def _feature_index(name):
        assert name == "enemy_position"
        return {"position": torch.tensor(POSITION), "visible": torch.tensor(VISIBLE)}

    def _observe(self):
        agents = TensorDict({"observation": self.seen}, (*self.batch_size, N_AGENTS))
        return {"agents": agents, "state": torch.ones(*self.batch_size, 4)}

    def _reset(self, tensordict=None, **kwargs):
        done = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return TensorDict({**self._observe(), "done": done}, self.batch_size)

    def _step(self, tensordict):
        done = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        reward = torch.ones(*self.batch_size, 1)
        return TensorDict({**self._observe(), "done": done, "reward": reward}, self.batch_size)

    def _set_seed(self, seed):
        pass


def added_noise(env, steps):
    rollout = env.rollout(steps)
    clean = env.base_env.seen
    first = rollout["agents", "observation"][:, :1]
    following = rollout["next", "agents", "observation"]
    return torch.cat([first, following], 1) - clean.unsqueeze(1)  # [B, 1 + steps, n, F]


class TestObservationNoise:
    @pytest.mark.parametrize("visible_only", [True, False], ids=["visible only", "all"])
    def test_changes_exactly_these_features(self, visible_only):
        env = TransformedEnv(
            Sighting(), ObservationNoise("enemy_position", visible_only=visible_only, seed=0)
        )
        noise = added_noise(env, 3)
        expected = torch.zeros(N_AGENTS, N_FEATURES, dtype=torch.bool)
        expected[:, [1, 2, 5, 6]] = True
        if visible_only:
            expected[0, [5, 6]] = False
        assert torch.equal(noise != 0, expected.expand_as(noise))

    def test_distribution(self):
        env = TransformedEnv(Sighting(50), ObservationNoise(std=0.75, seed=0))
        noise = added_noise(env, 99)[:, :, 1, [1, 2, 5, 6]].reshape(-1, 4)  # 5,000 draws of 4
        # standard errors of a mean, a variance and a covariance of 5,000 draws
        error = 0.75**2 / len(noise) ** 0.5
        torch.testing.assert_close(noise.mean(0), torch.zeros(4), atol=5 * error / 0.75, rtol=0)
        torch.testing.assert_close(
            noise.T.cov(), 0.75**2 * torch.eye(4), atol=5 * 2**0.5 * error, rtol=0
        )

    def test_leaves_the_rest_and_shared_memory(self):
        env = TransformedEnv(Sighting(), ObservationNoise(seed=0))
        clean = env.base_env.seen.clone()
        rollout = env.rollout(3)
        assert (rollout["state"] == 1).all()
        assert (rollout["next", "reward"] == 1).all()
        assert torch.equal(env.base_env.seen, clean)

    def test_check_env_specs(self):
        env = TransformedEnv(Sighting(), ObservationNoise(seed=0))
        spec = env.full_observation_spec["agents", "observation"]
        assert isinstance(spec, Unbounded)  # the noise leaves the bounds
        check_env_specs(env)

    def test_one_observation_one_noise(self):
        env = TransformedEnv(Sighting(), ObservationNoise(seed=0))
        rollout = env.rollout(3)
        following = rollout["next", "agents", "observation"][:, :-1]
        assert torch.equal(rollout["agents", "observation"][:, 1:], following)

    def test_seed(self):
        def rollout(seed):
            return added_noise(TransformedEnv(Sighting(), ObservationNoise(seed=seed)), 3)

        assert torch.equal(rollout(1), rollout(1))
        assert not torch.equal(rollout(1), rollout(2))
        noise = ObservationNoise(seed=1)
        env = TransformedEnv(Sighting(), noise)
        first = added_noise(env, 3)
        noise.set_seed(1)
        assert torch.equal(first, added_noise(env, 3))

    def test_no_seed_draws_one(self):
        torch.manual_seed(0)
        first = added_noise(TransformedEnv(Sighting(), ObservationNoise()), 1)
        second = added_noise(TransformedEnv(Sighting(), ObservationNoise()), 1)
        assert not torch.equal(first, second)

    def test_global_generator_is_untouched(self):
        env = TransformedEnv(Sighting(), ObservationNoise(seed=0))
        td = env.rand_action(env.reset())
        before = torch.get_rng_state()
        env.step(td)
        env.reset()
        assert torch.equal(torch.get_rng_state(), before)

    def test_partial_reset_keeps_the_other_rows(self):
        env = TransformedEnv(Sighting(), ObservationNoise(seed=0))
        td = env.rand_step(env.reset())["next"]
        old = td["agents", "observation"].clone()
        td["_reset"] = torch.tensor([[True], [False], [False]])
        new = env.reset(td)["agents", "observation"]
        assert torch.equal(new[1:], old[1:])
        assert not torch.equal(new[0], old[0])

    def test_state_dict(self):
        noise, other = ObservationNoise(seed=0), ObservationNoise(seed=1)
        env, other_env = TransformedEnv(Sighting(), noise), TransformedEnv(Sighting(), other)
        env.rollout(3)
        other.load_state_dict(noise.state_dict())
        assert torch.equal(added_noise(env, 3), added_noise(other_env, 3))

    @pytest.mark.parametrize("indices", [[3, 7], torch.tensor([3, 7])])
    def test_indices(self, indices):
        env = TransformedEnv(
            Sighting(describes=False), ObservationNoise(indices, visible_only=False, seed=0)
        )
        changed = (added_noise(env, 2) != 0).flatten(0, -2).all(0)
        assert changed.nonzero().flatten().tolist() == [3, 7]

    def test_description(self):
        index = {"position": torch.tensor(POSITION), "visible": torch.tensor(VISIBLE)}
        env = TransformedEnv(Sighting(describes=False), ObservationNoise(index, seed=0))
        named = TransformedEnv(Sighting(), ObservationNoise("enemy_position", seed=0))
        assert torch.equal(added_noise(env, 2), added_noise(named, 2))

    def test_in_key(self):
        noise = ObservationNoise([0], in_key="state", visible_only=False, seed=0)
        rollout = TransformedEnv(Sighting(), noise).rollout(2)
        assert (rollout["state"][..., 0] != 1).all()
        assert (rollout["state"][..., 1:] == 1).all()

    def test_no_noise(self):
        assert (added_noise(TransformedEnv(Sighting(), ObservationNoise(std=0.0)), 2) == 0).all()

    @pytest.mark.parametrize("std", [-1.0, float("inf"), float("nan")])
    def test_std(self, std):
        with pytest.raises(ValueError, match=r"std=.* must be finite and at least 0"):
            ObservationNoise(std=std)

    def test_mean(self):
        env = TransformedEnv(Sighting(), ObservationNoise(std=0.0, mean=-0.5))
        noise = added_noise(env, 2)  # on visible enemies alone
        assert (noise[:, :, 1, [1, 2, 5, 6]] == -0.5).all()
        assert (noise[:, :, 0, [5, 6]] == 0).all()
        with pytest.raises(ValueError, match="mean=nan must be finite"):
            ObservationNoise(mean=float("nan"))

    @pytest.mark.parametrize("features", [[], [0.5], torch.tensor([True])])
    def test_features_must_be_indices(self, features):
        with pytest.raises(ValueError, match="features must be indices, at least one"):
            ObservationNoise(features, visible_only=False)

    def test_repeated_index(self):
        with pytest.raises(ValueError, match=r"features=\[1, 1\] must not repeat an index"):
            ObservationNoise([1, 1], visible_only=False)

    def test_visibility_is_needed(self):
        with pytest.raises(ValueError, match=r"pass features as a name or .* visible_only=False"):
            ObservationNoise([1, 2])

    def test_visibility_shape(self):
        with pytest.raises(ValueError, match=r"received \(2, 2\) and \(3,\)"):
            ObservationNoise({"position": POSITION, "visible": [0, 4, 7]})
        with pytest.raises(ValueError, match=r"received \(2,\) and \(2,\)"):
            ObservationNoise({"position": [1, 2], "visible": [0, 4]})

    @pytest.mark.parametrize("index", [8, -1])
    def test_index_beyond_the_observation(self, index):
        env = TransformedEnv(Sighting(), ObservationNoise([index], visible_only=False))
        message = f"indices from {index} to {index} do not fit the 8 features"
        with pytest.raises(ValueError, match=message):
            env.observation_spec  # noqa: B018

    def test_environment_without_description(self):
        env = TransformedEnv(Sighting(describes=False), ObservationNoise())
        with pytest.raises(ValueError, match="cannot be found: Sighting has no feature_index"):
            env.observation_spec  # noqa: B018

    def test_no_environment(self):
        td = TensorDict({"agents": TensorDict({"observation": torch.ones(2, 8)}, [2])}, [])
        with pytest.raises(ValueError, match="cannot be found: no environment has"):
            ObservationNoise()(td)
