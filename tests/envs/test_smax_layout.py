"""Where features are in SMAX's observations, and how large the numbers of its state."""

import numpy as np
import pytest
import torch
from torchrl.envs import TransformedEnv

from tests.envs._smax import attack, change_units, make_env
from torchrl_drigm.envs.libs.smax import SMAXEnv
from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise

pytestmark = pytest.mark.smax


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class TestFeatureIndex:
    def test_enemy_position(self):
        """Moving one enemy by a little changes exactly its two features."""
        env = make_env()
        env.reset()
        # everyone in sight of everyone
        change_units(env, unit_positions=lambda at: at.__setitem__(slice(None), at / 4 + 10))
        index = env.feature_index("enemy_position")
        for enemy in range(5):
            for axis in range(2):
                before = torch.from_numpy(np.array(env._programs.observe(env._battles)[0]))

                def move(position, enemy=enemy, axis=axis):
                    position[:, 3 + enemy, axis] += 0.25

                change_units(env, unit_positions=move)
                after = torch.from_numpy(np.array(env._programs.observe(env._battles)[0]))
                changed = (before != after).flatten(0, 1)
                assert (changed.any(0).nonzero().flatten() == index["position"][enemy, axis]).all()
                assert changed.any(0).sum() == 1
                assert (before[..., index["visible"]] == 1).all()  # all of its health

    def test_noise_on_visible_enemies_only(self):
        noisy_env = TransformedEnv(make_env(), ObservationNoise("enemy_position", seed=0))
        noisy = noisy_env.rollout(60, attack, break_when_any_done=False)
        clean = make_env().rollout(60, attack, break_when_any_done=False)
        position = noisy_env.base_env.feature_index("enemy_position")["position"]
        for td, expected in ((noisy, clean), (noisy["next"], clean["next"])):
            changed = td["agents", "observation"] != expected["agents", "observation"]
            # an enemy is seen where any of its 13 features is not zero, which needs no index
            enemies = expected["agents", "observation"][..., 26:91].unflatten(-1, (5, 13))
            seen = (enemies != 0).any(-1)
            assert 0.1 < seen.float().mean() < 0.9
            assert torch.equal(changed[..., position], seen.unsqueeze(-1).expand(*seen.shape, 2))
            changed[..., position] = False
            assert not changed.any()
        for key in ("state", ("agents", "action_mask"), ("next", "reward"), ("next", "done")):
            assert torch.equal(noisy[key], clean[key])
        noise = (noisy["agents", "observation"] - clean["agents", "observation"])[..., position]
        noise = noise[noise != 0]
        error = 5 * 0.75**2 * (2 / len(noise)) ** 0.5  # five standard errors of the variance
        assert abs(noise.var().item() - 0.75**2) < error

    def test_layout_follows_the_map(self):
        env = SMAXEnv("2s3z", num_envs=2, seed=0)
        index = env.feature_index("enemy_position")
        width = len(env._env.unit_features)
        assert index["position"].shape == (5, 2)
        assert index["position"][0].tolist() == [4 * width + 1, 4 * width + 2]

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="name='ally_health' is unknown; valid names: enemy_"):
            make_env().feature_index("ally_health")

    def test_no_list_of_units(self):
        env = SMAXEnv("3s_vs_5z", num_envs=2, observation_type="conic")
        with pytest.raises(ValueError, match="observation_type='conic' has no fixed place"):
            env.feature_index("enemy_position")


def test_state_scale_brings_every_feature_to_order_one():
    env = make_env()
    state = env.rollout(60, policy=attack, break_when_any_done=False)["state"]
    scale = env.state_scale()
    assert scale.shape == state.shape[-1:]
    assert state.abs().max() > 10
    assert (state / scale).abs().max() < 3.1  # the last numbers are unit types, up to 3
