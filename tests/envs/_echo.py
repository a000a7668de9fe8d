"""An environment that shows what it was told to do, for tests of what comes between."""

import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

ACTION = ("agents", "action")


class Echo(EnvBase):
    """The observation is the action that the environment was given; ``B`` copies, 2 agents."""

    def __init__(self, num_envs=1, masked=False, action=Categorical):
        super().__init__(batch_size=[num_envs])
        agents = (num_envs, 2)
        observation = {"observation": Unbounded((*agents, 1))}
        if masked:
            observation["action_mask"] = Categorical(2, (*agents, 4), dtype=torch.bool)
        self.observation_spec = Composite(
            agents=Composite(observation, shape=agents), shape=(num_envs,)
        )
        spec = action(4, agents) if action is Categorical else action(4, (*agents, 4))
        self.action_spec = Composite(agents=Composite(action=spec, shape=agents), shape=(num_envs,))
        self.reward_spec = Unbounded((num_envs, 1))
        self.masked = masked

    def _seen(self, action):
        seen = {"observation": action.unsqueeze(-1).float()}
        if self.masked:  # the last action is available to the first agent alone
            mask = torch.ones(*self.batch_size, 2, 4, dtype=torch.bool)
            mask[..., 1, 3] = False
            seen["action_mask"] = mask
        done = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        agents = TensorDict(seen, [*self.batch_size, 2])
        return {"agents": agents, "done": done, "terminated": done.clone()}

    def _reset(self, tensordict=None, **kwargs):
        return TensorDict(self._seen(torch.zeros(*self.batch_size, 2)), self.batch_size)

    def _step(self, tensordict):
        reward = torch.zeros(*self.batch_size, 1)
        seen = self._seen(tensordict[ACTION])
        return TensorDict({**seen, "reward": reward}, self.batch_size)

    def _set_seed(self, seed):
        pass


def play(env, actions, td=None):
    """What the environment was given ``[T, B, 2]``, and the last tensordict."""
    td = env.reset() if td is None else td
    rows = []
    for action in actions:
        td[ACTION] = torch.full((*env.batch_size, 2), action)
        td = env.step(td)
        rows.append(td["next", "agents", "observation"][..., 0])
        td = env.step_mdp(td)
    return torch.stack(rows), td
