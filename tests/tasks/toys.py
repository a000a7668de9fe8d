"""An environment and a team without a simulator."""

import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

ACTION = ("agents", "action")


class Counting(EnvBase):
    """Two agents, one copy: the team earns the sum of their actions, for ``length`` steps."""

    def __init__(self, length=3, group="agents", device=None):
        super().__init__(device=device, batch_size=[])
        self.length, self.group = length, group
        self.observation_spec = Composite(
            {group: Composite(observation=Unbounded((2, 4)), shape=(2,))}
        )
        self.action_spec = Composite({group: Composite(action=Categorical(3, (2,)), shape=(2,))})
        self.reward_spec = Composite({group: Composite(reward=Unbounded((2, 1)), shape=(2,))})
        self.done_spec = Composite(
            {key: Categorical(2, (1,), dtype=torch.bool) for key in ("done", "terminated")}
        )

    def _seen(self, done, **more):
        team = TensorDict({"observation": torch.full((2, 4), float(self.step_count)), **more}, [2])
        done = torch.tensor([done])
        return TensorDict({self.group: team, "done": done, "terminated": done.clone()}, [])

    def _reset(self, tensordict=None, **kwargs):
        self.step_count = 0
        return self._seen(False)

    def _step(self, tensordict):
        self.step_count += 1
        reward = tensordict[self.group, "action"].float().unsqueeze(-1)
        return self._seen(self.step_count >= self.length, reward=reward)

    def _set_seed(self, seed):
        pass


class RandomTeam:
    """Acts at random, but the same in every evaluation."""

    def bind(self, env):
        self.spec = env.full_action_spec[ACTION]
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, tensordict):
        action = torch.randint(self.spec.n, self.spec.shape, generator=self.generator)
        return tensordict.set(ACTION, action)
