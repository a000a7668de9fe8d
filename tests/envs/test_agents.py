"""Environments that speak of each agent, as one team's: what is derived, and what is refused."""

import numpy as np
import pytest
import torch
from torchrl.envs.utils import check_env_specs

# which brings Gymnasium
pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

from gymnasium.spaces import Box, Discrete, MultiDiscrete, Sequence, Tuple

from tests.envs.own_envs import Night, Turns, Valves
from torchrl_drigm.envs import MultiAgentWrapper

ACTION, MASK = ("agents", "action"), ("agents", "action_mask")


def play(env, *actions):
    """The steps of given actions, one after the other."""
    data, steps = env.reset(), []
    for action in actions:
        data[ACTION] = torch.tensor(action)
        data = env.step(data)
        steps.append(data["next"].clone())
        data = data["next"].clone()
    return steps


class TestGymnasium:
    @pytest.mark.parametrize("style", ["tuple", "dict", "array"])
    def test_each_way_to_have_several_agents_is_the_same_team(self, style, caplog):
        env = MultiAgentWrapper(Valves(style))
        check_env_specs(env)
        env.set_seed(3)
        first = env.reset()
        assert first["agents", "observation"].shape == (2, 2)
        assert torch.equal(first["state"], first["agents", "observation"].flatten())
        assert first[MASK].tolist() == [[True, True, False], [True] * 3]
        goal = first["state"][1].item()
        first[ACTION] = torch.tensor([1, 2])
        step = env.step(first)["next"]
        assert step["reward"].item() == pytest.approx(1 - abs(3 - goal))
        given = env._env.given[-1]
        assert (list(given.values()) if style == "dict" else list(given)) == [1, 2]
        assert env._env.action_space.contains(given)

    def test_a_mean_and_a_reward_of_the_team(self):
        for options, wrapper in (({}, {"team_reward": "mean"}), ({"reward": "team"}, {})):
            env = MultiAgentWrapper(Valves(**options), **wrapper)
            env.set_seed(3)
            (step,) = play(env, [1, 2])
            miss = -abs(3 - step["state"][1].item())
            expected = miss if options else (miss + 1) / 2
            assert step["reward"].tolist() == pytest.approx([expected])

    @pytest.mark.parametrize("style", ["tuple", "dict"])
    @pytest.mark.parametrize("cut", [True, False], ids=["truncated", "terminated"])
    def test_flags(self, style, cut):
        *before, last = play(MultiAgentWrapper(Valves(style, length=2, cut=cut)), [0, 0], [0, 0])
        assert not any(step["done"] for step in before)
        assert [last[flag].item() for flag in ("done", "terminated", "truncated")] == [
            *(True, not cut, cut)
        ]

    def test_the_seed_decides(self):
        def goals(seed):
            env = MultiAgentWrapper(Valves())
            env.set_seed(seed)
            return [env.reset()["state"][1].item() for _ in range(8)]

        assert goals(0) == goals(0) != goals(1)

    def test_random_actions_are_available_ones_and_others_are_refused(self):
        env = MultiAgentWrapper(Valves(length=30))
        assert env.rollout(30)[ACTION].amax(0).tolist() == [1, 2]
        with pytest.raises(ValueError, match=r"agent 0 was given action 2, and has 2: choose by"):
            play(env, [2, 0])


class TestActions:
    def of(self, *spaces, **options):
        return MultiAgentWrapper(Valves(actions=list(spaces)), **options)

    def given(self, env, *indices):
        play(env, indices)
        return [np.asarray(one).tolist() for one in env._env.given[-1]]

    def test_levels_of_a_continuous_action(self):
        env = self.of(Box(-1, 1, (1,)), Box(0, 4, (1,)), action_levels=3)
        assert env.action_spec_unbatched[ACTION].space.n == 3
        assert [self.given(env, i, i) for i in range(3)] == [[[-1], [0]], [[0], [2]], [[1], [4]]]

    def test_several_numbers_are_all_combinations(self):
        env = self.of(Box(0, 1, (2,)), MultiDiscrete([2, 3]), action_levels=2)
        assert env.action_spec_unbatched[ACTION].space.n == 6
        assert self.given(env, 1, 5) == [[0, 1], [1, 2]]
        assert env.reset()[MASK].sum(-1).tolist() == [4, 6]

    @pytest.mark.parametrize("env", [Valves(), Night(), Turns()])
    def test_levels_of_discrete_actions_are_refused(self, env):
        with pytest.raises(
            ValueError, match=r"^action_levels=3 has nothing to divide.* \(in a conf"
        ):
            MultiAgentWrapper(env, action_levels=3)

    def test_discrete_actions_may_start_anywhere(self):
        assert self.given(self.of(Discrete(2, start=5), Discrete(3, start=-1)), 1, 0) == [6, -1]

    @pytest.mark.parametrize(
        ("space", "levels", "message"),
        [
            (Box(-1, 1, (2,)), None, r"agent 1 acts with Box\(.*each of its 2 numbers .* 25 actio"),
            (Box(0, np.inf, (1,)), 5, "agent 1 .* no end to lay action_levels=5 in: .* bounds"),
            (Box(0, 1, (9,)), 9, "agent 1 .* 387,420,489 actions where 10,000 are the most"),
            (Tuple([Discrete(2)]), 5, r"agent 1 acts with Tuple\(.* Expected Discrete"),
        ],
    )
    def test_what_cannot_be_chosen_among_is_refused(self, space, levels, message):
        with pytest.raises(ValueError, match=message):
            self.of(Discrete(2), space, action_levels=levels)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"action_space": Discrete(2)}, r"is Discrete\(2\), of one agent. Those of a team are"),
            (
                {"observation_space": Box(0, 1, (3, 2))},
                r"those of 2 agents, \[0, 1\]. Expected one",
            ),
            (
                {"observation_space": Tuple([Box(0, 1, (2,)), Sequence(Discrete(2))])},
                "agent 1 observes Sequence.* no fixed size",
            ),
            ({"reset": lambda: None}, r"reset\(seed=0\) fails: .*seed.* take seed and options"),
        ],
    )
    def test_what_is_no_team_is_refused(self, change, message):
        env = Valves()
        for name, value in change.items():
            setattr(env, name, value)
        with pytest.raises(ValueError, match=message):
            MultiAgentWrapper(env)

    def test_no_environment(self):
        with pytest.raises(TypeError, match=r"env is a builtins.dict; expected a pettingzoo.Par"):
            MultiAgentWrapper({})

    @pytest.mark.parametrize("options", [{"team_reward": "max"}, {"team_state": "mine"}])
    def test_options(self, options):
        ((field, value),) = options.items()
        with pytest.raises(ValueError, match=f"{field}='{value}' must be"):
            MultiAgentWrapper(Valves(), **options)

    def test_a_step_too_many(self):
        env = MultiAgentWrapper(Night(hours=(1, 1, 1)))
        with pytest.raises(RuntimeError, match="The episode is over: reset"):
            play(env, [0, 0, 0], [0, 0, 0])


class TestAgentsThatGo:
    def test_who_is_gone_is_zero_and_does_nothing(self, caplog):
        env = MultiAgentWrapper(Night(hours=(1, 3, 2)))
        check_env_specs(env)
        first, second, third = play(env, [2, 3, 1], [0, 2, 2], [0, 1, 0])
        assert [step["reward"].item() for step in (first, second, third)] == [6, 4, 1]
        assert first["agents", "observation"].tolist() == [[2, 0], [2, 2], [2, 2]]  # padded
        assert second["agents", "observation"].tolist() == [[0, 0], [3, 3], [3, 3]]
        masks = [step[MASK].sum(-1).tolist() for step in (first, second, third)]
        assert masks == [[1, 4, 3], [1, 4, 1], [1, 1, 1]]
        assert second[MASK][0].tolist() == [True, False, False, False]
        assert [step["done"].item() for step in (first, second, third)] == [False, False, True]

    @pytest.mark.parametrize(
        ("cut", "truncated"), [((), False), (("ann",), False), (("bob",), True), (("cy",), False)]
    )
    def test_the_end_is_what_it_was_for_the_last(self, cut, truncated):
        last = play(MultiAgentWrapper(Night(cut=cut)), *[[0, 0, 0]] * 3)[-1]
        assert last["truncated"].item() is truncated
        assert last["terminated"].item() is not truncated

    def test_a_mean_is_over_all_of_the_team(self):
        env = MultiAgentWrapper(Night(), team_reward="mean")
        assert play(env, [0, 0, 0], [0, 3, 0])[-1]["reward"].item() == 1

    def test_the_environments_own_state(self):
        env = MultiAgentWrapper(Night(with_state="of all"))
        assert play(env, [0, 0, 0])[0]["state"].tolist() == [1] * 6
        own = MultiAgentWrapper(Night(with_state="of all"), team_state="observations")
        assert own.reset()["state"].tolist() == [1, 0, 1, 1, 1, 1]

    def test_a_state_that_shrinks_is_refused(self):
        env = MultiAgentWrapper(Night(with_state="of those there"))
        with pytest.raises(ValueError, match=r"4 numbers now, and had 6 .* team_state='observ"):
            play(env, [0, 0, 0])

    def test_agents_that_nobody_knows(self):
        env = Night()
        del env.possible_agents
        with pytest.raises(ValueError, match=r"has no possible_agents: .* Give it that list"):
            MultiAgentWrapper(env)


class TestTurns:
    def test_one_chooses_and_the_other_waits(self, caplog):
        env = MultiAgentWrapper(Turns(heap=4))
        check_env_specs(env)
        first = env.reset()
        assert first["agents", "observation"].tolist() == [[4], [4]]
        assert first[MASK].tolist() == [[True, True], [True, False]]
        steps = play(env, [1, 0], [1, 0], [0, 0])
        assert env._env.taken == [("first", 2), ("second", 1), ("first", 1)]
        # after the first step it is the second agent's turn, and then one is left: no two of it
        assert steps[0][MASK].tolist() == [[True, False], [True, True]]
        assert steps[1][MASK].tolist() == [[True, False], [True, False]]
        assert [step["reward"].item() for step in steps] == [0, 0, 1]
        assert [step["terminated"].item() for step in steps] == [False, False, True]

    def test_agents_that_could_act_at_once_do(self):
        from pettingzoo.utils.conversions import parallel_to_aec

        env = parallel_to_aec(Night())
        env.metadata["is_parallelizable"] = True
        (step,) = play(MultiAgentWrapper(env), [2, 3, 1])
        assert step["reward"].item() == 6


class TestMPE:
    """What users of PettingZoo have: its particles, which moved to a package of their own."""

    @pytest.fixture
    def mpe(self):
        return pytest.importorskip("mpe2", reason="needs PettingZoo's MPE: pip install mpe2")

    @pytest.mark.parametrize("form", ["parallel_env", "env"])
    def test_it_is_what_pettingzoo_plays(self, mpe, form):
        from mpe2 import simple_spread_v3

        env = MultiAgentWrapper(getattr(simple_spread_v3, form)(max_cycles=5))
        env.set_seed(0)
        torch.manual_seed(0)
        steps = env.rollout(9)
        assert len(steps) == 5 and steps["next", "truncated"].squeeze(-1).tolist()[-1]
        direct = simple_spread_v3.parallel_env(max_cycles=5)
        seen, _ = direct.reset(seed=int(torch.randint(2**31, (), generator=_generator(0))))
        for step in steps:
            every = np.stack(list(seen.values()))
            np.testing.assert_array_equal(step["agents", "observation"].numpy(), every)
            actions = dict(zip(direct.possible_agents, step[ACTION].tolist(), strict=True))
            state = direct.state()
            np.testing.assert_array_equal(step["state"].numpy(), state.astype(np.float32))
            seen, rewards, *_ = direct.step(actions)
            assert step["next", "reward"].item() == pytest.approx(sum(rewards.values()), rel=1e-5)

    def test_agents_that_see_and_do_other_things(self, mpe, caplog):
        from mpe2 import simple_speaker_listener_v4

        env = MultiAgentWrapper(simple_speaker_listener_v4.parallel_env())
        check_env_specs(env)
        first = env.reset()
        assert first["agents", "observation"].shape == (2, 11)
        assert first[MASK].sum(-1).tolist() == [3, 5]


def _generator(seed):
    return torch.Generator().manual_seed(seed)


class Wrong(Night):
    """As Night, and in its first step something is wrong."""

    def __init__(self, change, **options):
        super().__init__(**options)
        self.change = change

    def step(self, actions):
        seen, rewards, *rest = super().step(actions)
        self.change(seen, rewards)
        return seen, rewards, *rest


def test_who_has_left_needs_no_observation_and_who_is_cut_does():
    def without(seen, rewards):
        seen.pop("ann", None)

    play(MultiAgentWrapper(Wrong(without, hours=(1, 3, 3))), [0, 0, 0])
    play(MultiAgentWrapper(Wrong(without, hours=(1, 1, 1))), [0, 0, 0])
    with pytest.raises(ValueError, match="no observation of 'ann', which has just acted, and th"):
        play(MultiAgentWrapper(Wrong(without, hours=(1, 1, 1), cut=["ann"])), [0, 0, 0])


def test_agents_of_gymnasium_are_all_there_and_have_one_of_each():
    class Fewer(Valves):
        def step(self, action):
            seen, each, *rest = super().step(action)
            if self.style == "dict":
                del seen["outlet"]
            return seen, each[:1] if self.style == "tuple" else each, *rest

    with pytest.raises(ValueError, match="no observation of 'outlet', which acts next"):
        play(MultiAgentWrapper(Fewer("dict")), [0, 0])
    with pytest.raises(ValueError, match=r"Fewer gives 1 rewards, .* 2 agents, \[0, 1\]: expect"):
        play(MultiAgentWrapper(Fewer()), [0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda seen, rewards: rewards.clear(), "gives no reward of 'ann', which has just acted"),
        (lambda seen, rewards: rewards.pop("cy"), "no reward of 'cy'.*those of .'ann', 'bob'"),
        (lambda seen, rewards: rewards.update(bob=None), "gives 'bob' the reward None"),
        (lambda seen, rewards: rewards.update(bob=np.nan), "gives 'bob' the reward nan"),
        (lambda seen, rewards: rewards.update(dan=1.0), "the agent 'dan', which is none of"),
        (lambda seen, rewards: seen.update(dan=np.zeros(2)), "the agent 'dan', which is none of"),
        (lambda seen, rewards: seen.update(bob=np.zeros(1)), "'bob' observes 1 numbers.* has 2"),
        (lambda seen, rewards: seen.pop("cy"), r"no observation of 'cy', which acts next, and tho"),
    ],
)
def test_nothing_is_lost_or_counted_as_zero_without_a_word(change, message):
    with pytest.raises(ValueError, match=message):
        play(MultiAgentWrapper(Wrong(change)), [0, 0, 0])
