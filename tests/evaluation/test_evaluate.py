import contextlib
import functools
import io

import numpy as np
import pytest
import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.envs import Compose, RewardScaling
from torchrl.envs.utils import ExplorationType, exploration_type
from torchrl.modules import EGreedyModule, QValueModule
from torchrl.modules.utils import get_primers_from_module

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.envs.transforms import HistoryWindow, PreviousAction
from torchrl_drigm.evaluation import (
    REFERENCES,
    DoNothing,
    OneStepOracle,
    ProportionalControl,
    RandomPolicy,
    ReferencePolicy,
    evaluate,
    power_to_level,
)
from torchrl_drigm.modules import DRQN, RecurrentDRQN
from torchrl_drigm.tasks import BuildingTask

pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)

from sustaingym.envs.building import MultiAgentBuildingEnv, ParameterGenerator

pytestmark = pytest.mark.sustaingym

ACTION = ("agents", "action")
CLIMATES = [shift["climate"] for shift in BuildingTask.suites["climate"]]
TUCSON, NEW_YORK = CLIMATES[0], CLIMATES[5]
TWO = [
    {"name": "train", "climate": TUCSON, "days": (0, 200)},
    {"name": "shifted", "climate": NEW_YORK, "days": (0, 200)},
]


@functools.cache
def real_env(climate):
    with contextlib.redirect_stdout(io.StringIO()):
        return MultiAgentBuildingEnv(
            ParameterGenerator("OfficeSmall", *climate, is_continuous_action=False)
        )


def real_return(climate, day, act):
    """Sum over agents and steps, with ``act`` from a zone temperature to a level."""
    env = real_env(climate)
    observations, _ = env.reset(seed=int(day))
    total, done = 0.0, False
    while not done:
        actions = {agent: act(observations[agent][agent]) for agent in env.agents}
        observations, rewards, terminated, truncated, _ = env.step(actions)
        total += sum(rewards.values())
        done = any(terminated.values()) or any(truncated.values())
    return total


class Policy(nn.Module):
    """Writes what a function makes of the observation, and notes how it was called."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.inner = nn.Dropout()
        self.seen = None

    def forward(self, tensordict):
        self.seen = (
            self.training,
            self.inner.training,
            torch.is_grad_enabled(),
            exploration_type(),
        )
        return tensordict.set(ACTION, self.act(tensordict["agents", "observation"]))


def constant(level):
    return lambda observation: torch.full(observation.shape[:-1], level)


def drqn_policy(n_actions=200, **kwargs):
    scaling = {"observation_loc": 20.0, "observation_scale": 10.0}
    network = DRQN(5, n_actions, 6, hidden_size=8, **scaling, **kwargs)
    history = ("agents", "history")
    return TensorDictSequential(
        TensorDictModule(
            network,
            in_keys=[(*history, "observation"), (*history, "action")],
            out_keys=[("agents", "action_value")],
        ),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=[ACTION, ("agents", "action_value"), ("agents", "chosen_action_value")],
        ),
    )


class TestEvaluate:
    def test_equals_a_loop_over_sustaingym(self):
        def level(temperature):
            return int(np.clip(np.round((0.25 * (22 - temperature) + 1) * 100), 0, 199))

        results = evaluate(ProportionalControl(), suite=TWO, episodes=3)
        for row in results.to_dict("records"):
            expected = real_return((row["climate"], row["location"]), row["day"], level)
            assert row["return"] == pytest.approx(expected, rel=1e-3)
            assert row["normalized_return"] == pytest.approx((row["return"] + 9000) / 9000)

    def test_table(self):
        results = evaluate(DoNothing(), suite=TWO, episodes=2)
        assert list(results.columns) == [
            *("suite", "shift", "climate", "location"),
            *("episode", "day", "return", "normalized_return"),
        ]
        assert results["suite"].tolist() == ["own"] * 4
        assert results["shift"].tolist() == ["train", "train", "shifted", "shifted"]
        assert results["climate"].tolist() == ["Hot_Dry"] * 2 + ["Mixed_Humid"] * 2
        assert results["location"].tolist() == ["Tucson"] * 2 + ["NewYork"] * 2
        assert results["episode"].tolist() == [0, 1, 0, 1]

    def test_days_are_paired_and_differ(self):
        days = evaluate(DoNothing(), suite=TWO, episodes=50).pivot(
            index="episode", columns="shift", values="day"
        )
        assert (days["train"] == days["shifted"]).all()
        assert days["train"].is_unique
        assert days["train"].between(0, 199).all()
        other = evaluate(DoNothing(), suite=TWO, episodes=50, seed=12)
        assert set(other["day"]) != set(days["train"])

    def test_more_episodes_than_days_and_one_climate_twice(self):
        suite = [
            {"name": "a", "climate": TUCSON, "days": (3, 5)},
            {"name": "b", "climate": TUCSON, "days": (200, 365)},
        ]
        results = evaluate(DoNothing(), suite=suite, episodes=6)
        by_shift = results.groupby("shift")["day"]
        assert set(by_shift.get_group("a")) <= {3, 4}
        assert by_shift.get_group("b").is_unique
        assert by_shift.get_group("b").between(200, 364).all()

    @pytest.mark.parametrize("policy", [RandomPolicy(seed=3), OneStepOracle()])
    def test_deterministic_and_without_the_global_generator(self, policy):
        state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1].copy()
        first = evaluate(policy, suite=TWO, episodes=2)
        assert torch.equal(torch.get_rng_state(), state)
        assert (np.random.get_state()[1] == numpy_state).all()
        assert evaluate(policy, suite=TWO, episodes=2).equals(first)

    def test_random_policy_follows_its_seed(self):
        returns = [evaluate(RandomPolicy(seed), suite=TWO, episodes=1)["return"] for seed in (0, 1)]
        assert not returns[0].equals(returns[1])

    def test_modes(self):
        policy = Policy(constant(100))
        policy.inner.eval()
        evaluate(policy, suite=TWO, episodes=1)
        assert policy.seen == (False, False, False, ExplorationType.DETERMINISTIC)
        assert (policy.training, policy.inner.training) == (True, False)
        assert torch.is_grad_enabled()

    def test_plain_callable(self):
        class Act:
            def __call__(self, tensordict):
                return tensordict.set(ACTION, constant(100)(tensordict["agents", "observation"]))

        assert evaluate(Act(), suite=TWO, episodes=1).equals(
            evaluate(DoNothing(), suite=TWO, episodes=1)
        )

    def test_windowed_agents_without_their_exploration(self):
        torch.manual_seed(0)
        greedy, transform = drqn_policy(), HistoryWindow(8)
        first = evaluate(greedy, suite=TWO, episodes=2, transform=transform)
        assert transform.parent is None
        env = SustainGymEnv("building", seed=0)
        exploring = TensorDictSequential(
            greedy, EGreedyModule(env.action_spec, eps_init=1.0, action_key=ACTION)
        )
        assert evaluate(exploring, suite=TWO, episodes=2, transform=transform).equals(first)

    def test_recurrent_team_without_its_memory(self):
        qnet = RecurrentDRQN(DRQN(5, 200, 6, hidden_size=8))
        head = QValueModule(
            "categorical",
            action_value_key=("agents", "action_value"),
            out_keys=[ACTION, ("agents", "action_value"), ("agents", "chosen_action_value")],
        )
        team = TensorDictSequential(qnet, head)
        with pytest.raises(
            ValueError, match=r"carries .*recurrent_state.*would play without memory"
        ):
            evaluate(team, suite=TWO, episodes=1, transform=PreviousAction())
        memory = Compose(PreviousAction(), get_primers_from_module(team))
        assert len(evaluate(team, suite=TWO, episodes=1, transform=memory)) == 2

    def test_scaled_rewards_do_not_change_returns(self):
        transform = Compose(RewardScaling(loc=1.0, scale=0.1), HistoryWindow(2))
        scaled = evaluate(DoNothing(), suite=TWO, episodes=1, transform=transform)
        assert scaled.equals(evaluate(DoNothing(), suite=TWO, episodes=1))

    def test_another_building(self):
        task = BuildingTask(building="Warehouse", n_action_levels=5)
        seen = set()

        class Probe(DoNothing):
            def act(self, observation):
                action = super().act(observation)
                seen.add((*action.shape, *action.unique().tolist()))
                return action

        evaluate(Probe(), task, TWO, episodes=2)
        assert seen == {(4, 3, 2)}

    def test_a_team_plays_on_the_action_levels_that_it_was_trained_on(self):
        torch.manual_seed(0)
        team, memory = drqn_policy(n_actions=40), HistoryWindow(8)
        results = evaluate(team, suite=TWO, episodes=1, transform=memory)
        task = BuildingTask(n_action_levels=40)
        assert results.equals(evaluate(team, task, TWO, episodes=1, transform=memory))
        with pytest.raises(ValueError, match=r"has 200 actions, but the team was made for 40"):
            evaluate(team, BuildingTask(n_action_levels=200), TWO, transform=memory)

    @pytest.mark.parametrize("n_actions", [40, 201])
    def test_any_policy_that_writes_values_of_other_levels_is_refused(self, n_actions):
        def act(tensordict):
            values = torch.zeros(*tensordict.batch_size, 6, n_actions)
            tensordict.set(("agents", "action_value"), values)
            return tensordict.set(ACTION, values.argmax(-1))

        message = rf"values {n_actions} actions, but the environment has 200"
        with pytest.raises(ValueError, match=message):
            evaluate(act, suite=TWO, episodes=1)

    @pytest.mark.parametrize("share_params", [False, True], ids=["unshared", "shared"])
    def test_a_team_of_another_building_is_refused(self, share_params):
        team = drqn_policy(share_params=share_params)
        message = r"'building' has 3 agents, but the team was made for 6: .* 3 zones: ZONE1 OFFICE"
        with pytest.raises(ValueError, match=message):
            evaluate(team, BuildingTask(building="Warehouse"), TWO, transform=HistoryWindow(8))

    def test_progress(self, capsys):
        evaluate(DoNothing(), suite=TWO, episodes=1)
        assert capsys.readouterr().err == ""
        evaluate(DoNothing(), suite=TWO, episodes=1, progress=True)
        assert "288step" in capsys.readouterr().err

    def test_no_episode(self):
        with pytest.raises(ValueError, match="episodes=0 must be at least 1"):
            evaluate(DoNothing(), episodes=0)

    def test_unknown_suite(self):
        with pytest.raises(ValueError, match="suite='weather' is unknown; valid names: climate"):
            evaluate(DoNothing(), suite="weather")

    @pytest.mark.parametrize("policy", [lambda tensordict: tensordict, lambda tensordict: None])
    def test_no_action(self, policy):
        with pytest.raises(ValueError, match="wrote no"):
            evaluate(policy, suite=TWO, episodes=1)

    @pytest.mark.parametrize(
        ("act", "received"),
        [
            (constant(200), r"received torch.int64 of shape \[2, 6\] between 200 and 200"),
            (constant(-1), "between -1 and -1"),
            (constant(0.5), "received torch.float32"),
            (lambda obs: torch.zeros(2, 6, 200, dtype=torch.long), r"of shape \[2, 6, 200\]"),
        ],
    )
    def test_wrong_action(self, act, received):
        with pytest.raises(ValueError, match=received):
            evaluate(Policy(act), suite=TWO, episodes=1)

    def test_returns_that_are_not_finite(self):
        class Breaking(DoNothing):
            def act(self, observation):
                self.env._temperature[0] = torch.nan
                return super().act(observation)

        with pytest.raises(ValueError, match=r"1 of 4 returns are not finite, the first on train"):
            evaluate(Breaking(), suite=TWO, episodes=2)


class TestReferences:
    def test_order(self):
        assert list(REFERENCES) == [
            *("do nothing", "random", "proportional control", "one-step oracle")
        ]
        means = [evaluate(REFERENCES[name](), suite=TWO, episodes=20) for name in REFERENCES]
        nothing, random, control, oracle = (
            result.groupby("shift")["normalized_return"].mean() for result in means
        )
        assert (random < nothing).all()
        assert (nothing < control).all()
        assert (control < oracle).all()

    # What SustainGym's own environment gives on the same 200 days; the oracle needs ours.
    @pytest.mark.parametrize(
        ("policy", "tucson", "new_york"),
        [
            (DoNothing(), -1.8072, -4.0444),
            (ProportionalControl(), 0.8620, 0.7637),
            (OneStepOracle(), 0.994, 0.993),
        ],
    )
    def test_known_returns(self, policy, tucson, new_york):
        results = evaluate(policy, suite=TWO, episodes=200)
        mean = results.groupby("shift")["normalized_return"].mean()
        assert mean["train"] == pytest.approx(tucson, abs=1e-3)
        assert mean["shifted"] == pytest.approx(new_york, abs=1e-3)

    @pytest.mark.parametrize("n_levels", [2, 5, 200])
    def test_power_to_level_inverts_the_grid(self, n_levels):
        level = torch.arange(n_levels)
        power = (2 * level - n_levels) / n_levels
        assert torch.equal(power_to_level(power, n_levels), level)
        assert torch.equal(power_to_level(power + 0.9 / n_levels, n_levels), level)
        assert power_to_level(torch.tensor([-9.0, 9.0]), n_levels).tolist() == [0, n_levels - 1]

    def test_environment_is_no_part_of_the_policy(self):
        policy = OneStepOracle()
        policy.bind(SustainGymEnv("building", seed=0))
        assert list(policy.modules()) == [policy]
        assert policy.state_dict() == {}

    def test_not_bound(self):
        env = SustainGymEnv("building", seed=0)
        with pytest.raises(RuntimeError, match=r"DoNothing does not know its environment.*bind"):
            DoNothing()(env.reset())

    def test_act_is_abstract(self):
        with pytest.raises(NotImplementedError):
            ReferencePolicy().act(torch.zeros(1, 6, 5))
