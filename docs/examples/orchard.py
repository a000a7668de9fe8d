"""An environment of one's own: two pickers in an orchard at night. This file is all of it."""

import torch
from tensordict import TensorDict
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

__all__ = ["HASTY", "QUIET", "Orchard"]

QUIET, HASTY = 0, 1


class Orchard(EnvBase):
    """Two agents pick fruit through a night, each hour quietly (one fruit) or hastily (two).

    Each of them who is hasty wakes the guard with some probability, and then the night is over:
    haste pays where it is improbable, or where little of the night is left to lose.

    Args:
        num_envs (int): nights at once; the batch size is ``[num_envs]``.
        hours (int): steps of a night.
        wakes (float): probability that one hasty agent wakes the guard in a step.
        seed (int, optional): of the guard.
        device: where it lives.
    """

    def __init__(self, num_envs=1, hours=12, wakes=0.05, seed=None, device="cpu"):
        super().__init__(device=device, batch_size=[num_envs])
        self.hours, self.wakes = hours, wakes
        batch, agents, one = (num_envs,), (num_envs, 2), (num_envs, 1)

        def flag():
            return Binary(1, one, dtype=torch.bool)

        self.observation_spec = Composite(
            agents=Composite(observation=Unbounded((*agents, 1)), shape=agents),
            state=Unbounded(one),
            info=Composite(woken=flag(), shape=batch),
            shape=batch,
        )
        self.action_spec = Composite(
            agents=Composite(action=Categorical(2, agents), shape=agents), shape=batch
        )
        self.reward_spec = Unbounded(one)
        self.done_spec = Composite(done=flag(), terminated=flag(), shape=batch)
        self.hour = torch.zeros(one, dtype=torch.int64, device=self.device)
        self.set_seed(seed)

    def _reset(self, tensordict=None, **kwargs):
        over = None if tensordict is None else tensordict.get("_reset", None)  # of these copies
        self.hour = torch.zeros_like(self.hour) if over is None else self.hour.masked_fill(over, 0)
        return self._seen(torch.zeros_like(self.hour, dtype=torch.bool))

    def _step(self, tensordict):
        hasty = (tensordict["agents", "action"] == HASTY).sum(-1, keepdim=True)  # [num_envs, 1]
        asleep = (1 - self.wakes) ** hasty
        draw = torch.rand(self.hour.shape, generator=self.generator, device=self.device)
        self.hour = self.hour + 1
        return self._seen(draw >= asleep, reward=2.0 + hasty)

    def _seen(self, woken, **more):
        time = self.hour / self.hours
        observation = time.unsqueeze(-2).expand(-1, 2, -1)  # [num_envs, 2, 1]
        done = woken | (self.hour >= self.hours)
        # The agents see the time, so the end of a night is no surprise: a termination.
        return TensorDict(
            {
                "agents": TensorDict({"observation": observation}, observation.shape[:2]),
                "state": time,
                "info": {"woken": woken},
                "done": done,
                "terminated": done.clone(),
                **more,
            },
            self.batch_size,
            device=self.device,
        )

    def _set_seed(self, seed):
        self.generator = torch.Generator(self.device)
        if seed is not None:
            self.generator.manual_seed(seed)
