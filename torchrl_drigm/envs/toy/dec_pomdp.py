"""Any finite Dec-POMDP as a TorchRL environment, many copies at once.

Axes: ``B`` copies (``num_envs``), ``N`` agents, ``A`` actions (most of any agent), ``O``
observations (most of any agent), ``S`` states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torch.nn.functional import one_hot
from torchrl.data import Binary, Categorical, Composite, Unbounded

from torchrl_drigm.envs._seeded import SeededEnv

if TYPE_CHECKING:  # importing it costs as much as all of this
    from torchrl_drigm.tabular import DecPOMDP

__all__ = ["DecPOMDPEnv"]


class DecPOMDPEnv(SeededEnv):
    r"""Plays a :class:`~torchrl_drigm.tabular.DecPOMDP`; every episode starts in one state.

    - ``("agents", "observation")`` ``[B, N, O]``: what each agent sees, one-hot.
    - ``("agents", "action")`` ``[B, N]`` int64.
    - ``("agents", "action_mask")`` ``[B, N, A]`` bool, only where agents differ in their number of
      actions: those that an agent has.
    - ``state`` ``[B, S]``, one-hot.
    - ``reward`` ``[B, 1]``: of the team; where the model has rewards by next state, the one of the
      state that was reached.
    - ``("info", "discounted_return")`` ``[B, 1]``: rewards of the episode so far, each discounted
      by its step, :math:`\sum_t \gamma^t r_t` with the model's :math:`\gamma`. Of a whole episode
      its mean is the value of the start.
    - ``done``, ``terminated``, ``truncated`` ``[B, 1]``: a terminal state terminates an episode,
      and ``max_steps`` truncates it.

    Args:
        model (DecPOMDP): what to play.
        num_envs (int): number of copies, ``B``.
        start (int): state that every episode starts in.
        max_steps (int, optional): steps after which an episode is truncated. Default: none.
        seed (int, optional): of the next states; drawn from torch's generator if ``None``.
        device: where the copies live. Random numbers are drawn on the CPU, so that a seed means the
            same episodes on every device.

    Attributes:
        model (DecPOMDP): what is played.

    Raises:
        ValueError: for a number of copies or steps below 1, or a start that is no state, or a
            terminal one; and in a step for actions that an agent does not have.

    Examples:
        >>> from torchrl_drigm.tabular import random_dec_pomdp
        >>> env = DecPOMDPEnv(random_dec_pomdp(4, (2, 3), seed=0), num_envs=5, max_steps=9, seed=0)
        >>> data = env.rollout(3, break_when_any_done=False)
        >>> data["agents", "observation"].shape, data["next", "reward"].shape
        (torch.Size([5, 3, 2, 4]), torch.Size([5, 3, 1]))
        >>> data["agents", "action_mask"][0, 0]
        tensor([[ True,  True, False],
                [ True,  True,  True]])
    """

    def __init__(
        self,
        model: DecPOMDP,
        num_envs: int = 1,
        *,
        start: int = 0,
        max_steps: int | None = None,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        for name, value in (("num_envs", num_envs), ("max_steps", max_steps)):
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name}={value!r} must be an int of at least 1.")
        n_states = model.n_states
        if type(start) is not int or not 0 <= start < n_states or model.terminal[start]:
            raise ValueError(
                f"start={start!r} must be a state, an int in [0, {n_states}), that is not terminal."
            )
        super().__init__(device=device, batch_size=[num_envs])
        self.model, self.start, self.max_steps = model, start, max_steps
        n_observations, n = int(model.observation.max()) + 1, max(model.n_actions)
        # the last entry is 1 to the last bit, or a draw above it would reach an impossible state
        reached = model.kernel.flatten(1, -2).cumsum(-1)
        limits = torch.tensor(model.n_actions)
        paid = getattr(model, "outcome_reward", None)
        constants = {
            "_reached": reached / reached[..., -1:],  # [S, all joint actions, S']
            "_paid": (model.reward if paid is None else paid).flatten(1, model.n_agents).float(),
            "_ends": model.terminal,
            "_seen": one_hot(model.observation, n_observations).float(),  # [S, N, O]
            "_limits": limits,
            # index of a joint action in its flattened axis
            "_strides": torch.tensor([*model.n_actions[1:], 1]).flip(0).cumprod(0).flip(0),
            "_mask": (torch.arange(n) < limits.unsqueeze(-1)).expand(num_envs, -1, -1),
        }
        for name, value in constants.items():
            self.register_buffer(name, value.to(self.device), persistent=False)
        episode = {
            "_where": torch.full((num_envs,), start),
            "_steps": torch.zeros(num_envs, 1, dtype=torch.int64),
            "_return": torch.zeros(num_envs, 1),
        }
        for name, value in episode.items():
            self.register_buffer(name, value.to(self.device))
        self._episode = tuple(episode)
        self._has_mask = len(set(model.n_actions)) > 1
        self._make_specs(n, n_observations)
        self.set_seed(seed)

    def _make_specs(self, n_actions: int, n_observations: int) -> None:
        batch, one, device = self.batch_size, (*self.batch_size, 1), self.device
        agents = (*batch, self.model.n_agents)

        def flag(shape: tuple[int, ...] = one) -> Binary:
            return Binary(shape[-1], shape, dtype=torch.bool, device=device)

        seen = {"observation": Unbounded((*agents, n_observations), device=device)}
        if self._has_mask:
            seen["action_mask"] = flag((*agents, n_actions))
        self.observation_spec = Composite(
            agents=Composite(seen, shape=agents, device=device),
            state=Unbounded((*batch, self.model.n_states), device=device),
            info=Composite(
                discounted_return=Unbounded(one, device=device), shape=batch, device=device
            ),
            shape=batch,
            device=device,
        )
        action = Categorical(
            n_actions,
            shape=agents,
            dtype=torch.int64,
            device=device,
            mask=self._mask if self._has_mask else None,
        )
        self.action_spec = Composite(
            agents=Composite(action=action, shape=agents, device=device), shape=batch, device=device
        )
        self.reward_spec = Unbounded(one, device=device)
        self.done_spec = Composite(
            done=flag(), terminated=flag(), truncated=flag(), shape=batch, device=device
        )

    def _observe(self, terminated: Tensor, truncated: Tensor, **more: Tensor) -> TensorDict:
        agents = {"observation": self._seen[self._where]}
        if self._has_mask:
            agents["action_mask"] = self._mask.clone()
        return TensorDict(
            {
                "agents": TensorDict(agents, (*self.batch_size, self.model.n_agents)),
                "state": one_hot(self._where, self.model.n_states).float(),
                "info": {"discounted_return": self._return.clone()},
                "done": terminated | truncated,
                "terminated": terminated,
                "truncated": truncated,
                **more,
            },
            self.batch_size,
            device=self.device,
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action"))
        if ((action < 0) | (action >= self._limits)).any():
            raise ValueError(
                f"('agents', 'action') must be in [0, n) for the agents' n of "
                f"{list(self.model.n_actions)}, got {action.amin(0).tolist()} to "
                f"{action.amax(0).tolist()}: draw from the action_mask where there is one."
            )
        before, joint = self._where, (action * self._strides).sum(-1)
        rows = self._reached[before, joint]  # [B, S']
        draw = self._random(torch.rand, 1, dtype=torch.float64)
        self._where = torch.searchsorted(rows, draw.to(rows.device), right=True).squeeze(-1)
        paid = self._paid[before, joint]
        if paid.ndim == 2:
            paid = paid.gather(-1, self._where.unsqueeze(-1)).squeeze(-1)
        reward = paid.unsqueeze(-1)
        self._return = self._return + self.model.gamma**self._steps * reward
        self._steps = self._steps + 1
        terminated = self._ends[self._where].unsqueeze(-1)
        truncated = torch.zeros_like(terminated)
        if self.max_steps is not None:
            truncated = (self._steps >= self.max_steps) & ~terminated
        return self._observe(terminated, truncated, reward=reward)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs) -> TensorDictBase:
        reset = None if tensordict is None else tensordict.get("_reset", None)
        reset = torch.ones_like(self._steps, dtype=torch.bool) if reset is None else reset
        reset = reset.reshape(self._steps.shape)
        self._where = self._where.masked_fill(reset.squeeze(-1), self.start)
        self._steps = self._steps.masked_fill(reset, 0)
        self._return = self._return.masked_fill(reset, 0.0)
        return self._observe(torch.zeros_like(reset), torch.zeros_like(reset))
