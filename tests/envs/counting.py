"""An environment of known lengths in which no two observations are the same."""

import multiprocessing

import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, ParallelEnv

N_AGENTS, F, N_ACTIONS = 2, 3, 5


class CountingEnv(EnvBase):
    """Row ``b`` ends after ``3 + 2 b`` steps; no two observations are the same.

    ``agent_dim`` gives the "agents" node a batch size with the agent dimension, as VMAS has it.
    """

    def __init__(
        self, batch=(3,), agent_dim=False, action_spec=None, native_autoreset=False, group="agents"
    ):
        super().__init__(batch_size=batch)
        self.group = group
        self.node = (*batch, N_AGENTS) if agent_dim else batch
        shape = (*batch, N_AGENTS)
        if action_spec is None:
            action_spec = Categorical(N_ACTIONS, shape=shape)
        self.action_spec = Composite(
            {group: Composite(action=action_spec, shape=self.node)}, shape=batch
        )
        self.observation_spec = Composite(
            {group: Composite(observation=Unbounded((*shape, F)), shape=self.node)}, shape=batch
        )
        self.reward_spec = Unbounded((*batch, 1))
        self.length = (3 + 2 * torch.arange(torch.Size(batch).numel())).reshape(*batch, 1)
        self.count = torch.zeros(*batch, 1, dtype=torch.int64)
        self.drawn = 0
        if native_autoreset:
            self._torchrl_native_autoreset = True

    def _observe(self):
        n = self.batch_size.numel() * N_AGENTS * F
        observation = torch.arange(self.drawn + 1, self.drawn + 1 + n, dtype=torch.float32)
        self.drawn += n
        observation = observation.reshape(*self.batch_size, N_AGENTS, F)
        return TensorDict({"observation": observation}, self.node)

    def _reset(self, tensordict=None, **kwargs):
        reset = torch.ones_like(self.count, dtype=torch.bool)
        if tensordict is not None:
            reset = tensordict.get("_reset", reset).reshape(reset.shape)
        self.count = self.count.masked_fill(reset, 0)
        return TensorDict(
            {self.group: self._observe(), "done": self.count >= self.length}, self.batch_size
        )

    def _step(self, tensordict):
        self.count = self.count + 1
        done = self.count >= self.length
        if self.__dict__.get("_torchrl_native_autoreset"):
            self.count = self.count.masked_fill(done, 0)
        return TensorDict(
            {
                self.group: self._observe(),
                "reward": torch.zeros(*self.batch_size, 1),
                "done": done,
                "terminated": done,
            },
            self.batch_size,
        )

    def _set_seed(self, seed):
        torch.manual_seed(seed)


def parallel(n, make):
    """A ``ParallelEnv`` whose processes are forks of one that has imported what they need."""
    multiprocessing.set_forkserver_preload([__name__])
    return ParallelEnv(n, make, mp_start_method="forkserver")
