"""Windows of an agent's own history, as observations."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, expand_as_right, unravel_key
from torch import Tensor
from torchrl.data import Categorical, Composite, MultiCategorical, Unbounded
from torchrl.envs.transforms import Transform
from torchrl.envs.transforms.utils import _get_reset

__all__ = ["HistoryWindow", "NextHistory"]

HISTORY = (("agents", "history", "observation"), ("agents", "history", "action"))


def _move_on(
    observations: Tensor, actions: Tensor, observation: Tensor, action: Tensor
) -> tuple[Tensor, Tensor]:
    """Windows of the next step: one step older, with what is new at their end.

    ``[*B, A, W, F]``, ``[*B, A, W]``, ``[*B, A, F]``, ``[*B, A]`` -> ``[*B, A, W, F]``,
    ``[*B, A, W]``.
    """
    return (
        torch.cat([observations[..., 1:, :], observation.unsqueeze(-2)], -2),
        torch.cat([actions[..., 1:], action.unsqueeze(-1)], -1),
    )


class HistoryWindow(Transform):
    r"""Writes the last ``window`` (observation, previous action) pairs of every agent.

    It is the local history :math:`h_i` that a DRQN agent sees (paper, Section 4). As in the
    paper's released configuration, steps before the start of an episode are observations of
    zeros with action 0, and so is the action before the first observation. Newest last:

    - observation window ``[*B, n_agents, window, F]``
    - previous action window ``[*B, n_agents, window]``, int64: at each step the action taken just
      before its observation.

    The transform keeps no state: the window of the next step is built from the one in the
    tensordict that is stepped. Hence it works inside and outside of vectorised and parallel
    environments, with partial resets and from any stored step on. Actions are recorded as the
    base environment receives them.

    Args:
        window (int): number of steps in the window. Default: 8.
        observation_key (NestedKey): the observation ``[*B, n_agents, F]``.
            Default: ``("agents", "observation")``.
        action_key (NestedKey): the categorical action ``[*B, n_agents]``.
            Default: ``("agents", "action")``.
        out_keys (sequence of NestedKey): where to write the observation and the action window.
            Default: ``(("agents", "history", "observation"), ("agents", "history", "action"))``.

    Raises:
        ValueError: if ``window`` is below 1, ``out_keys`` are not two, or the action is not
            categorical with one entry per agent.
        KeyError: if the tensordict that is stepped has no window.

    Examples:
        >>> from torchrl.envs import TransformedEnv, VmasEnv
        >>> from torchrl_drigm.envs.transforms import HistoryWindow
        >>> base_env = VmasEnv(
        ...     "navigation", num_envs=4, n_agents=3, continuous_actions=False, seed=0
        ... )
        >>> env = TransformedEnv(base_env, HistoryWindow(window=4))
        >>> rollout = env.rollout(max_steps=6)
        >>> rollout["agents", "history", "observation"].shape
        torch.Size([4, 6, 3, 4, 18])
        >>> rollout["agents", "history", "action"].shape
        torch.Size([4, 6, 3, 4])
    """

    def __init__(
        self,
        window: int = 8,
        observation_key: NestedKey = ("agents", "observation"),
        action_key: NestedKey = ("agents", "action"),
        out_keys: tuple[NestedKey, NestedKey] = HISTORY,
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1 step, received {window}.")
        if len(out_keys) != 2:
            raise ValueError(
                "out_keys must name two entries, the observation window and the action window, "
                f"received {out_keys!r}."
            )
        super().__init__(in_keys=[observation_key, action_key], out_keys=list(out_keys))
        self.window = window

    def _initial(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Windows whose newest step is the first of an episode."""
        # [*B, A, F] -> [*B, A, W, F]
        *lead, n_features = observation.shape
        observations = observation.new_zeros(*lead, self.window, n_features)
        observations[..., -1, :] = observation
        actions = torch.zeros(*lead, self.window, dtype=torch.int64, device=observation.device)
        return observations, actions

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # written for every row: the environment keeps the old entries of rows that are not reset
        windows = self._initial(tensordict_reset.get(self.in_keys[0]))
        for key, value in zip(self.out_keys, windows, strict=True):
            tensordict_reset.set(key, value)
        return tensordict_reset

    def _reset_on_native_autoreset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        reset = _get_reset(self.parent.reset_keys[0], tensordict)
        windows = self._initial(tensordict_reset.get(self.in_keys[0]))
        for key, value in zip(self.out_keys, windows, strict=True):
            old = tensordict.get(key)
            tensordict_reset.set(key, torch.where(expand_as_right(reset, old), value, old))
        return tensordict_reset

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        observations, actions = (tensordict.get(key, default=None) for key in self.out_keys)
        if observations is None or actions is None:
            raise KeyError(
                f"HistoryWindow: the tensordict to step has no {self.out_keys}. Step what reset() "
                "or the previous step returned, with the action added."
            )
        observation, action = next_tensordict.get(self.in_keys[0]), tensordict.get(self.in_keys[1])
        windows = _move_on(observations, actions, observation, action)
        for key, value in zip(self.out_keys, windows, strict=True):
            next_tensordict.set(key, value)
        return next_tensordict

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not available: a window needs the steps before, which a stored batch does not order."""
        raise NotImplementedError(
            "HistoryWindow only runs in an environment. Its windows are stored with each step, so "
            "that a replay buffer needs no transform, or NextHistory to store them once only."
        )

    def _specs(self) -> tuple[Unbounded, Categorical]:
        observation = self.parent.full_observation_spec[self.in_keys[0]]
        action = self.parent.full_action_spec[self.in_keys[1]]
        *lead, n_features = observation.shape
        if (
            not isinstance(action, Categorical)
            or isinstance(action, MultiCategorical)
            or list(action.shape) != lead
        ):
            raise ValueError(
                f"HistoryWindow: expected a Categorical action spec of shape {lead} under "
                f"{self.in_keys[1]!r}, received {type(action).__name__} of shape "
                f"{list(action.shape)}. Build the environment with categorical actions."
            )
        return (
            Unbounded(
                (*lead, self.window, n_features), dtype=observation.dtype, device=observation.device
            ),
            Categorical(
                action.n, shape=(*lead, self.window), dtype=torch.int64, device=action.device
            ),
        )

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Adds the windows to the observations."""
        for key, spec in zip(self.out_keys, self._specs(), strict=True):
            observation_spec[key] = spec
        return observation_spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Adds the windows to the state: a parallel environment hands its workers nothing else."""
        observation_spec = self.parent.full_observation_spec
        state_spec = input_spec["full_state_spec"]
        for key, spec in zip(self.out_keys, self._specs(), strict=True):
            # nodes shared with the observations, such as "agents", need the same batch size there
            for depth in range(1, len(key) if isinstance(key, tuple) else 0):
                node = key[:depth]
                if node in observation_spec.keys(True) and node not in state_spec.keys(True):
                    state_spec[node] = Composite(
                        shape=observation_spec[node].shape, device=state_spec.device
                    )
            state_spec[key] = spec
        return input_spec


class NextHistory(Transform):
    """Lets a replay buffer store each window once, and not under ``"next"`` again.

    On the way in, the next windows of :class:`HistoryWindow` are dropped; on the way out they are
    built from the windows, the action and the next observation. A transition takes about half the
    memory; sampling takes as long, as what is not stored need not be gathered.

    Args:
        observation_key (NestedKey): the observation; under ``"next"`` it has to be stored.
            Default: ``("agents", "observation")``.
        action_key (NestedKey): the categorical action. Default: ``("agents", "action")``.
        history_keys (sequence of NestedKey): the observation and the action window.
            Default: ``(("agents", "history", "observation"), ("agents", "history", "action"))``.

    Examples:
        >>> from tensordict import TensorDict
        >>> from torchrl.data import LazyTensorStorage, ReplayBuffer
        >>> from torchrl_drigm.envs.transforms import NextHistory
        >>> buffer = ReplayBuffer(
        ...     storage=LazyTensorStorage(9), transform=NextHistory(), batch_size=4
        ... )
        >>> observation, action = torch.arange(8.0).view(1, 1, 8, 1), torch.arange(8).view(1, 1, 8)
        >>> agents = {"history": {"observation": observation, "action": action},
        ...           "action": torch.tensor([[8]])}
        >>> step = TensorDict({"agents": agents}, [1])
        >>> step["next", "agents", "observation"] = torch.tensor([[[8.0]]])
        >>> _ = buffer.extend(step)
        >>> buffer.sample()["next", "agents", "history", "action"][0]
        tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
        >>> ("next", "agents", "history", "action") in buffer.storage[:].keys(True)
        False
    """

    def __init__(
        self,
        observation_key: NestedKey = ("agents", "observation"),
        action_key: NestedKey = ("agents", "action"),
        history_keys: tuple[NestedKey, NestedKey] = HISTORY,
    ) -> None:
        super().__init__()
        self._new = (unravel_key(("next", observation_key)), action_key)
        self._windows = tuple(history_keys)
        self._next_windows = [unravel_key(("next", key)) for key in history_keys]

    # what a Compose calls, and a buffer puts every transform into one
    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.exclude(*self._next_windows)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A copy, on the same tensors, with the next windows."""
        known = (*self._windows, *self._new)
        windows = _move_on(*(tensordict.get(key) for key in known))
        tensordict = tensordict.copy()  # a buffer hands over its own storage where all is asked for
        for key, value in zip(self._next_windows, windows, strict=True):
            tensordict.set(key, value)
        return tensordict
