"""TorchRL's environments as one team's: which keys are found, renamed or made."""

import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, OneHot, Unbounded
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.transforms import StepCounter
from torchrl.envs.utils import check_env_specs

from torchrl_drigm.envs import team_env

SIZE = 2, 3  # agents, actions


class Mill(EnvBase):
    """Two agents; the sum of their actions is what it grinds. Its keys are where it likes them."""

    def __init__(
        self,
        seen="observation",
        act="action",
        earned="reward",
        each=True,
        features=(2, 4),
        dtype=torch.float32,
        action=None,
        **more,
    ):
        super().__init__(batch_size=[])
        self.places = seen, act, earned
        self.each, self.features, self.dtype_, self.more = each, features, dtype, more
        self.observation_spec = Composite({seen: Unbounded(features, dtype=dtype)})
        for name, shape in more.items():
            self.observation_spec[name] = Unbounded(shape)
        self.action_spec = Composite({act: Categorical(3, (2,)) if action is None else action})
        shape = (2, 1) if each is True else each or (1,)
        self.reward_spec = Composite({} if earned is None else {earned: Unbounded(shape)})

    def _reset(self, tensordict=None, **kwargs):
        seen = {self.places[0]: torch.arange(8).to(self.dtype_).reshape(self.features)}
        return TensorDict(seen | {k: torch.arange(6.0).reshape(v) for k, v in self.more.items()})

    def _step(self, tensordict):
        acts = tensordict[self.places[1]].float()[:, None]
        step = self._reset().set(self.places[2], acts if self.each else acts.sum(0))
        return step.update({k: torch.zeros(1, dtype=torch.bool) for k in ("done", "terminated")})

    def _set_seed(self, seed):
        pass


def step_of(env, action=(1, 2)):
    data = env.reset()
    data["agents", "action"] = torch.tensor(action)
    return env.step(data)["next"]


class TestKeys:
    @pytest.mark.parametrize(
        ("made", "keys"),
        [
            ({}, None),
            ({"seen": "obs"}, {"observation": "obs"}),
            (
                {"seen": ("mill", "o"), "act": ("mill", "a"), "earned": "gain"},
                {"observation": ["mill", "o"]},
            ),
            (
                {"seen": "obs", "act": "move", "earned": "gain"},
                {"observation": "obs", "action": "move", "reward": "gain"},
            ),
        ],
    )
    def test_they_are_found_or_named(self, made, keys, caplog):
        env = team_env(Mill(**made), key_map=keys)
        check_env_specs(env)
        step = step_of(env)
        assert step["reward"].tolist() == [3] and "reward" in env.reward_keys
        assert step["state"].tolist() == list(range(8))
        assert step["agents", "observation"].shape == (2, 4)

    def test_a_mean(self):
        assert step_of(team_env(Mill(), team_reward="mean"))["reward"].tolist() == [1.5]

    def test_the_environments_own_reward_and_state(self, caplog):
        env = team_env(Mill(each=False, state=(6,)))
        check_env_specs(env)
        step = step_of(env)
        assert step["reward"].tolist() == [3] and step["state"].tolist() == list(range(6))

    def test_a_state_of_several_dimensions_is_flattened(self, caplog):
        env = team_env(Mill(map=(2, 3)), key_map={"state": "map"})
        check_env_specs(env)
        assert step_of(env)["state"].tolist() == list(range(6))

    def test_observations_in_place_of_its_state(self):
        env = team_env(Mill(state=(6,)), team_state="observations")
        assert step_of(env)["state"].tolist() == list(range(8))

    def test_double_precision_becomes_single(self, caplog):
        env = team_env(Mill(dtype=torch.float64))
        check_env_specs(env)
        assert step_of(env)["state"].dtype is torch.float32

    def test_an_environment_with_transforms_keeps_them(self):
        env = team_env(TransformedEnv(Mill(), StepCounter(1)))
        assert step_of(env)["truncated"].item()

    def test_what_has_all_of_it_is_as_it_was(self):
        keys = {"seen": ("agents", "observation"), "act": ("agents", "action")}
        env = Mill(**keys, each=False, state=(6,))
        assert team_env(env) is env


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (
            {"earned": None},
            {},
            "the environment has no reward at all: give it one, ",
        ),
        ({"seen": "obs"}, {}, r"observation is not found among \['obs'\]: name it, key_map="),
        (
            {},
            {"key_map": {"observation": "obs"}},
            r"key_map.observation='obs' is not there, only",
        ),
        ({}, {"key_map": {"goal": "obs"}}, r"has \['goal'\]: the names there are \['observation'"),
        (
            {"each": (2,)},
            {},
            r"no team reward: its 'reward' has the shape \(2,\), expected",
        ),
        ({"features": (8,)}, {}, r"has the shape \(8,\) .*expected \(2, 'features'\)"),
        ({"features": (2, 2, 2)}, {}, r"the shape \(2, 2, 2\) .*Flatten it"),
        ({"dtype": torch.int64}, {}, r"torch.int64, expected .* floating point.*cast it"),
        (
            {"action": Unbounded((2, 5))},
            {},
            r"action 'action' is continuous, of .* \(in a config env\.kwargs\.continuous_actions=f",
        ),
        (
            {"action": OneHot(3, (2, 3))},
            {},
            "is OneHot, and expected is Categorical.*categorical_actions=T",
        ),
        (
            {"action": Categorical(3, ())},
            {},
            r"'action' has the shape \(\), expected \('n_ag",
        ),
        ({}, {"action_levels": 5}, "action_levels=5 is for environments of PettingZoo and Gymnas"),
        ({}, {"team_reward": "max"}, r"team_reward='max' must be one of \['mean', 'sum'\]"),
        ({"mask": (2,)}, {}, r"come and go, as \('mask',\) says, .* Return the PettingZoo env"),
    ],
)
def test_what_no_team_can_be_of_is_refused(made, options, message):
    with pytest.raises(ValueError, match=message):
        team_env(Mill(**made), **options)


def test_what_is_no_environment_is_refused():
    with pytest.raises(TypeError, match=r"a builtins.int. Expected one of TorchRL \(an EnvBase"):
        team_env(3)


class TestPettingZoo:
    """TorchRL's own wrapper, in a user's ``make_env``."""

    @pytest.fixture(autouse=True)
    def _needs(self, recwarn):
        pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

    def wrapper(self, *names, **options):
        from torchrl.envs import PettingZooWrapper

        from tests.envs.own_envs import Night

        class Same(Night):
            def __init__(self):
                super().__init__()
                self.possible_agents = list(names)
                self.hours = dict.fromkeys(names, 2)

            def observation_space(self, agent):
                return super().observation_space("bob")

            def action_space(self, agent):
                return super().action_space("bob")

        return PettingZooWrapper(Same(), **options)

    @pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested")
    def test_its_one_group_is_the_team(self, caplog):
        env = team_env(self.wrapper("guard_0", "guard_1"))
        check_env_specs(env)
        step = step_of(env)
        assert step["reward"].tolist() == [3] and step["state"].shape == (4,)
        assert env.done_keys == ["done", "terminated", "truncated"]

    @pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested")
    def test_several_groups_and_agents_that_go_are_refused(self):
        with pytest.raises(ValueError, match=r"several groups .*: \['guard_0', 'thief_0'\]"):
            team_env(self.wrapper("guard_0", "thief_0"))
        with pytest.raises(ValueError, match=r"come and go, as \('guard', 'mask'\) says"):
            team_env(self.wrapper("guard_0", "guard_1", use_mask=True))

    def test_the_environment_itself(self):
        from tests.envs.own_envs import Night

        assert step_of(team_env(Night()), (2, 3, 1))["reward"].tolist() == [6]
        with pytest.raises(ValueError, match=r"key_map={'state': 'map'} is for TorchRL's env"):
            team_env(Night(), key_map={"state": "map"})
