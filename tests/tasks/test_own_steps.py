"""Steps of an environment of one's own: what is wrong in them is told by env.make and the step."""

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

import torch

from tests.envs.own_envs import Night
from tests.envs.test_team_env import Mill
from torchrl_drigm._users import UsersError
from torchrl_drigm.envs import MultiAgentWrapper
from torchrl_drigm.envs.transforms._available_actions import AvailableActions
from torchrl_drigm.tasks import find_task


class Wrong(Night):
    """As Night, and from a step on it is wrong in what it returns, or raises."""

    def __init__(self, at, change):
        super().__init__(hours=(99, 99, 99))
        self.at, self.change = at, change

    def step(self, actions):
        returned = super().step(actions)
        return self.change(*returned) if self.hour == self.at else returned


def without_agent(seen, *rest):
    return {a: seen[a] for a in ("ann", "bob")}, *rest


class Masked(Night):
    """As Night, and from a step on nobody may do anything."""

    def __init__(self, step, mask=(False,) * 3):
        super().__init__(hours=(9, 9, 9))
        self.step_of_none, self.none = step, mask

    def _masked(self, infos, step):
        if step == self.step_of_none:
            infos["cy"]["action_mask"] = np.array(self.none)
        return infos

    def reset(self, seed=None, options=None):
        seen, infos = super().reset(seed, options)
        return seen, self._masked(infos, 0)

    def step(self, actions):
        *seen, infos = super().step(actions)
        return *seen, self._masked(infos, self.hour)


class NoNumber(Mill):
    """As Mill, and from the second step on an entry is NaN; it may raise in a later one."""

    def __init__(self, key, ends=99):
        super().__init__()
        self.key, self.ends, self.steps = key, ends, 0

    def _step(self, tensordict):
        self.steps += 1
        if self.steps == self.ends:
            raise KeyError("mill")
        step = super()._step(tensordict)
        return step.set(self.key, step[self.key] * torch.nan) if self.steps > 1 else step


WRONG = [
    (lambda seen, rewards, *rest: (seen, None, *rest), "gives 'the team' the reward None: expect"),
    (lambda seen, rewards, *rest: (seen, {**rewards, "cy": np.nan}, *rest), "'cy' the reward nan"),
    (lambda *returned: returned[:4], "Wrong.step returns 4 values, expected 5: observations, rew"),
    (lambda *returned: None, "Wrong.step returns a NoneType, expected 5: observations, rewards"),
    (lambda seen, rewards, *rest: (seen, rewards, None, *rest[1:]), "a NoneType as terminations"),
    (lambda seen, *rest: ({**seen, "cy": np.zeros(5)}, *rest), "'cy' observes 5 numbers, and its"),
    (lambda seen, *rest: ({**seen, "cy": "far"}, *rest), "'cy' observes 'far', and its observati"),
    (lambda seen, *rest: ({**seen, "cy": [np.inf, 0]}, *rest), r"'cy' observes \[.*: expected fin"),
    (without_agent, "gives no observation of 'cy', which acts next, and those of .'ann', 'bob'"),
    (lambda *returned: {}["wind"], "what it names raised KeyError: 'wind'"),
]


class TestLaterSteps:
    @pytest.mark.parametrize(("change", "message"), WRONG)
    def test_what_the_first_steps_show_is_refused_before_anything_is_written(self, change, message):
        task = find_task("torchrl")(make=Wrong, kwargs={"at": 3, "change": change})
        message = f"^env.make=.*Wrong'>: .*{message}.*That was in step 3 of an episode.$"
        with pytest.raises(ValueError, match=message):
            task.check()

    @pytest.mark.parametrize(
        ("mask", "message"),
        [
            ((False,) * 3, "may take none of its 3 actions after step 3 of an episode that goes"),
            ((0, 1, 2), r"has the action_mask \[0 1 2\] after step 3: expected 3 booleans, or 0 a"),
            ((None,) * 3, r"has the action_mask \[None None None\] after step 3: expected 3"),
            ((True,), "has 3 actions, and its action_mask after step 3 has 1 entries"),
        ],
    )
    def test_so_are_masks(self, mask, message):
        task = find_task("torchrl")(make=Masked, kwargs={"step": 3, "mask": mask})
        with pytest.raises(ValueError, match=f"^env.make=.*Masked'>: agent 'cy' {message}"):
            task.check()

    @pytest.mark.parametrize("key", ["reward", "observation"])
    def test_so_is_what_is_no_number_in_an_environment_of_torchrl(self, key):
        task = find_task("torchrl")(make=NoNumber, kwargs={"key": key})
        with pytest.raises(ValueError, match=f"^env.make=.*{key}.* not finite after step 2 of"):
            task.check()

    def test_what_comes_later_names_env_make_and_the_step_and_keeps_the_lines(self):
        kwargs = {"at": 15, "change": lambda *returned: {}["wind"]}
        task = find_task("torchrl")(make=Wrong, kwargs=kwargs)
        task.check()
        env = task.train_env(seed=0)
        with pytest.raises(UsersError, match=r"^env.make=.*'wind'\. That was in step 15 ") as told:
            env.rollout(20)
        assert isinstance(told.value.__cause__, KeyError)
        assert told.value.trace.count("File") == 2 and '{}["wind"]' in told.value.trace

    def test_of_torchrl_the_steps_are_counted_from_the_beginning(self):
        task = find_task("torchrl")(make=NoNumber, kwargs={"key": "reward", "ends": 3})
        with pytest.raises(UsersError, match=r"That was in step 3 since it was made\.$"):
            task.train_env(seed=0).rollout(5)

    def test_the_users_own_error_in_a_reset_keeps_its_lines(self):
        class Asleep(Night):
            def reset(self, seed=None, options=None):
                return None + 1

        with pytest.raises(UsersError, match=r"TypeError: .* That was in its reset\.$") as told:
            find_task("torchrl")(make=Asleep).check()
        assert "return None + 1" in told.value.trace


class TestMasksThatAllowNothing:
    def test_at_the_first_step_before_anything_is_written(self):
        task = find_task("torchrl")(make=Masked, kwargs={"step": 0})
        message = "^env.make=.*Masked.*: agent 'cy' may take none of its 3 actions after step 0 of"
        with pytest.raises(ValueError, match=message):
            task.check()

    def test_at_a_later_step(self):
        env = MultiAgentWrapper(Masked(2))
        with pytest.raises(ValueError, match="'cy' may take none of its 3 actions after step 2 of"):
            env.rollout(4)

    def test_of_another_length(self):
        with pytest.raises(
            ValueError, match=r"'cy' has 3 actions, and its .* step 0 has 2 entries"
        ):
            MultiAgentWrapper(Masked(0, (True, True)))

    @pytest.mark.parametrize("done", [False, True])
    def test_of_environments_of_torchrl(self, done):
        from tensordict import TensorDict

        mask = torch.ones(2, 3, 4, dtype=torch.bool)
        mask[1, 2] = False
        entries = {"agents": {"action_mask": mask}, "done": torch.tensor([[False], [done]])}
        transform = AvailableActions(("agents", "action"), ("agents", "action_mask"))
        if done:
            transform._check(TensorDict(entries, [2]))
            return
        with pytest.raises(ValueError, match="agent 2 may take none of its 4 actions of an epis"):
            transform._check(TensorDict(entries, [2]))
