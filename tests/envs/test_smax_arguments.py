"""Arguments of the SMAX environments: what is refused, and what reaches JaxMARL."""

import pytest

from tests.envs._smax import jaxmarl, make_env
from torchrl_drigm.envs.libs import _smax_programs
from torchrl_drigm.envs.libs.smax import SMAXEnv, SMAXWrapper

pytestmark = pytest.mark.smax

import jax.numpy as jnp  # noqa: E402


class TestArguments:
    def test_scenario(self):
        with pytest.raises(ValueError, match=r"scenario='3x' is unknown; valid names: 3m, 2s3z, "):
            SMAXEnv("3x")

    @pytest.mark.parametrize("num_envs", [0, -1, 2.0, True])
    def test_num_envs(self, num_envs):
        with pytest.raises(ValueError, match=r"num_envs=.* must be an int of at least 1"):
            SMAXEnv(num_envs=num_envs)

    @pytest.mark.parametrize("max_steps", [0, 1.5])
    def test_max_steps(self, max_steps):
        with pytest.raises(ValueError, match=r"max_steps=.* must be an int of at least 1"):
            SMAXEnv(max_steps=max_steps)

    def test_attack_mode(self):
        with pytest.raises(ValueError, match=r"attack_mode='far' is unknown; valid names: closest"):
            SMAXEnv(attack_mode="far")

    def test_unknown_argument(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'fog'"):
            SMAXEnv(fog=True)

    def test_arguments_reach_jaxmarl(self):
        env = SMAXEnv(
            num_envs=2,
            see_enemy_actions=False,
            walls_cause_death=False,
            attack_mode="random",
            unit_type_health=jnp.full(6, 50.0),  # an array, which cannot be cached
        )._env
        assert not env.see_enemy_actions
        assert not env.walls_cause_death
        assert env.attack_mode == "random"
        assert (env.unit_type_health == 50).all()

    def test_not_smax(self):
        with pytest.raises(TypeError, match="env is a SMAX; expected an EnemySMAX of JaxMARL"):
            SMAXWrapper(jaxmarl.make("SMAX"), num_envs=2)

    def test_continuous_actions(self):
        with pytest.raises(ValueError, match="action_type='continuous'; expected 'discrete'"):
            SMAXEnv(action_type="continuous")

    def test_missing_jaxmarl(self, monkeypatch):
        battle = make_env()._env
        monkeypatch.setattr(_smax_programs, "has_smax", False)
        with pytest.raises(ImportError, match=r'SMAXEnv needs JaxMARL: pip install "torchrl_drigm'):
            SMAXEnv()
        with pytest.raises(ImportError, match=r"SMAXWrapper needs JaxMARL: pip install .*\[smax\]"):
            SMAXWrapper(battle)
