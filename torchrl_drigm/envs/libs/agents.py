"""A wrapper around environments that speak of each agent by name. Axis: ``n`` agents."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

from torchrl_drigm._users import noting, users_lines
from torchrl_drigm.envs.libs._players import MASK, Moment, Players, check_moment, players_of
from torchrl_drigm.envs.transforms.team import check_team_reward, check_team_state, join

__all__ = ["MultiAgentWrapper"]

MOST_ACTIONS = 10_000  # of an agent; a value network has an output for each


class MultiAgentWrapper(_EnvWrapper):
    """A PettingZoo or a Gymnasium environment as the environment of one team.

    It takes PettingZoo's ``ParallelEnv`` and ``AECEnv``, and a ``gymnasium.Env`` whose actions are
    a ``Dict`` or a ``Tuple`` with one space for each agent, or a ``MultiDiscrete`` with a row for
    each. TorchRL's ``PettingZooWrapper`` keeps agents apart as they are; here they become a team,
    which one value can be learned of:

    - ``("agents", "observation")`` ``[n, F]`` float32: each agent's observation, flattened by
      Gymnasium, padded with zeros to the longest; zeros of an agent that is not there;
      who leaves in a step is seen in it.
    - ``("agents", "action")`` ``[n]`` int64: an index into each agent's own actions.
    - ``("agents", "action_mask")`` ``[n, A]`` bool: the environment's own masks (in an observation
      or an info, under ``"action_mask"``). An agent that has fewer actions than others may not take
      the rest. One that is not there, or whose turn it is not, may take action 0 only, which goes
      nowhere.
    - ``"state"`` ``[S]`` float32: the environment's ``state()``, or all observations side by side.
    - ``"reward"`` ``[1]``: the team's.
    - ``"done"``, ``"terminated"``, ``"truncated"`` ``[1]``: an episode is over when no agent is
      left. It is truncated if any of the last ones was, and terminated otherwise.

    An ``AECEnv`` that says ``is_parallelizable`` steps all agents at once. In any other one agent
    acts in a step, and the team's reward is what the agents get in it.

    Args:
        env: the environment.
        team_reward (str): ``"sum"`` or ``"mean"`` over the agents, of rewards that they have each;
            who is not there has 0. Default: ``"sum"``.
        team_state (str, optional): ``"observations"`` for all observations side by side. Default:
            the environment's ``state()`` where it has one.
        action_levels (int, optional): levels of each number of a continuous action, from its lowest
            to its highest value. Default: a continuous action is refused.
        device: where the tensors go.

    Raises:
        TypeError: ``env`` is neither PettingZoo's nor Gymnasium's.
        ValueError: for an environment of one agent, actions that are not discrete, more than 10,000
            of them, observations without a fixed size, or a ``reset`` that takes no seed.

    Examples:
        >>> import gymnasium
        >>> import numpy as np
        >>> class Lamps(gymnasium.Env):
        ...     observation_space = gymnasium.spaces.Box(0, 1, (2, 1))
        ...     action_space = gymnasium.spaces.MultiDiscrete([2, 3])
        ...     def reset(self, *, seed=None, options=None):
        ...         return np.zeros((2, 1), np.float32), {}
        ...     def step(self, action):
        ...         return np.float32([[a > 0] for a in action]), [1.0, 0.5], False, True, {}
        >>> env = MultiAgentWrapper(Lamps())
        >>> env.reset()["agents", "action_mask"].long().tolist()
        [[1, 1, 0], [1, 1, 1]]
        >>> env.rollout(1)["next", "reward"]
        tensor([[1.5000]])
    """

    def __init__(
        self,
        env: Any,
        *,
        team_reward: str = "sum",
        team_state: str | None = None,
        action_levels: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        check_team_reward(team_reward)
        check_team_state(team_state)
        self._options = {"team_reward": team_reward, "team_state": team_state}
        self._levels = action_levels
        super().__init__(env=env, device=device, batch_size=torch.Size([]))

    def _check_kwargs(self, kwargs: dict) -> None:
        """What it is, is found out when it is looked into."""

    def _build_env(self, env: Any) -> Any:
        players = players_of(env)
        if players is None:
            raise TypeError(
                f"env is a {type(env).__module__}.{type(env).__qualname__}; expected a "
                "pettingzoo.ParallelEnv, a pettingzoo.AECEnv or a gymnasium.Env."
            )
        self._players: Players = players
        return env

    def _make_specs(self, env: Any) -> None:
        players, device = self._players, self.device
        self._actions = {
            name: _actions(name, space, self._levels)
            for name, space in players.action_spaces.items()
        }
        self._check_levels(players.action_spaces)
        self._spaces = {n: _without_mask(s) for n, s in players.observation_spaces.items()}
        self._n_features = max(_n_features(name, s) for name, s in self._spaces.items())
        self._n_actions = max(map(len, self._actions.values()))
        self._has_specs, self._steps = False, 0
        self.set_seed(None)
        try:
            with noting("its reset"):
                first = self._read(players.reset(seed=0))
        except TypeError as error:
            if users_lines(error):  # not of how it is called
                raise
            raise ValueError(
                f"{type(env).__name__}.reset(seed=0) fails: {error}. PettingZoo's and Gymnasium's "
                "environments take seed and options, and return observations and infos."
            ) from error
        n = len(players.names)
        flag = Categorical(2, shape=(1,), dtype=torch.bool, device=device)
        self.observation_spec = Composite(
            agents=Composite(
                observation=Unbounded((n, self._n_features), device=device),
                action_mask=Binary(shape=(n, self._n_actions), dtype=torch.bool, device=device),
                shape=(n,),
                device=device,
            ),
            state=Unbounded(first["state"].shape, device=device),
            device=device,
        )
        action = Categorical(self._n_actions, shape=(n,), device=device)
        self.action_spec = Composite(
            agents=Composite(action=action, shape=(n,), device=device), device=device
        )
        self.reward_spec = Unbounded((1,), device=device)
        self.done_spec = Composite(
            done=flag, terminated=flag.clone(), truncated=flag.clone(), device=device
        )
        self._has_specs = True

    def _check_levels(self, spaces: Mapping[Any, Any]) -> None:
        from gymnasium.spaces import Box

        if self._levels is not None and not any(isinstance(one, Box) for one in spaces.values()):
            raise ValueError(
                f"action_levels={self._levels} has nothing to divide, as all actions are discrete "
                "already: leave it out (in a config env.action_levels=null)."
            )

    def _init_env(self) -> None:
        """Its first reset was when it was made."""

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = int(torch.randint(2**31, ()))
        self._generator = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        seed = int(torch.randint(2**31, (), generator=self._generator))
        self._steps = 0
        with noting("its reset"):
            return self._read(self._players.reset(seed)).exclude("reward")

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if not self._moment.acting:
            raise RuntimeError("The episode is over: reset before the next step.")
        chosen = tensordict.get(("agents", "action")).tolist()
        actions = {}
        for name, index in zip(self._players.names, chosen, strict=True):
            if name in self._moment.acting:
                if index >= len(self._actions[name]):
                    raise ValueError(
                        f"agent {name!r} was given action {index}, and has "
                        f"{len(self._actions[name])}: choose by ('agents', 'action_mask')."
                    )
                actions[name] = self._actions[name][index]
        self._steps += 1
        with noting(f"step {self._steps} of an episode"):
            return self._read(self._players.step(actions), acted=actions)

    def _read(self, moment: Moment, acted: Collection[Any] = ()) -> TensorDict:
        """All entries of a step but the actions."""
        check_moment(self._players, moment, acted)
        names, device = self._players.names, self.device
        seen = np.zeros((len(names), self._n_features), np.float32)
        mask = np.zeros((len(names), self._n_actions), bool)
        for i, name in enumerate(names):
            if name in moment.observations:
                flat = self._flat(name, moment.observations[name])
                seen[i, : len(flat)] = flat
            available = [True]  # of who may not choose: to do nothing
            if name in moment.acting:
                available = self._available(name, moment.masks)
            mask[i, : len(available)] = available
        self._moment = moment
        observation = torch.as_tensor(seen, device=device)
        state = None if self._options["team_state"] else self._players.state()
        if state is not None:
            state = torch.as_tensor(np.asarray(state, np.float32).ravel(), device=device)
            self._check_state(state)
        agents = {"observation": observation, MASK: torch.as_tensor(mask, device=device)}
        if self._has_specs:  # so that random actions are available ones
            self.full_action_spec["agents", "action"].update_mask(agents[MASK].clone())
        over, cut = (torch.tensor([f], device=device) for f in (moment.over, moment.truncated))
        return TensorDict(
            {
                "agents": TensorDict(agents, [len(names)], device=device),
                "state": observation.flatten() if state is None else state,
                "reward": self._team_reward(moment.rewards),
                "done": over,
                "terminated": over & ~cut,
                "truncated": cut,
            },
            device=device,
        )

    def _flat(self, name: Any, observed: Any) -> np.ndarray:
        """An observation as numbers, all finite and as many as its space has."""
        from gymnasium.spaces import flatten

        space = self._spaces[name]
        try:
            flat = np.asarray(flatten(space, observed), np.float32)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"agent {name!r} observes {observed!r:.200}, and its observation space is {space}: "
                "let both say the same."
            ) from error
        if len(flat) != (size := _n_features(name, space)):
            raise ValueError(
                f"agent {name!r} observes {len(flat)} numbers, and its observation space {space} "
                f"has {size}: let both say the same."
            )
        if not np.isfinite(flat).all():
            raise ValueError(f"agent {name!r} observes {flat}: expected finite numbers.")
        return flat

    def _available(self, name: Any, masks: Mapping[Any, Any]) -> np.ndarray:
        """Which actions an agent that acts may take, one at least."""
        n_actions = len(self._actions[name])
        given = np.asarray(masks.get(name, np.ones(n_actions, bool))).ravel()
        if given.dtype.kind not in "biuf" or not ((given == 0) | (given == 1)).all():
            raise ValueError(
                f"agent {name!r} has the {MASK} {given} after step {self._steps}: expected "
                f"{n_actions} booleans, or 0 and 1, one for each action."
            )
        if len(given) != n_actions:
            raise ValueError(
                f"agent {name!r} has {n_actions} actions, and its {MASK} after step {self._steps} "
                f"has {len(given)} entries: one for each action."
            )
        if not given.any():
            raise ValueError(
                f"agent {name!r} may take none of its {n_actions} actions after step {self._steps} "
                f"of an episode that goes on: all of its {MASK} is False there. Let it have one, "
                "such as to do nothing, or let it leave."
            )
        return given == 1

    def _team_reward(self, rewards: Any) -> torch.Tensor:
        if isinstance(rewards, dict):
            each = [float(rewards.get(name, 0.0)) for name in self._players.names]
            return join(
                torch.tensor(each, device=self.device)[:, None], self._options["team_reward"]
            )
        return torch.tensor([float(rewards)], device=self.device)

    def _check_state(self, state: torch.Tensor) -> None:
        size = self.observation_spec["state"].shape[-1] if self._has_specs else len(state)
        if len(state) != size:
            raise ValueError(
                f"state() has {len(state)} numbers now, and had {size} at first, as "
                "agents come and go. Set team_state='observations', or let it have one size."
            )


def _actions(name: Any, space: Any, levels: int | None) -> Sequence[Any]:
    """All actions of an agent, in an order that stays."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return range(int(space.start), int(space.start) + int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        each = [range(int(n)) for n in space.nvec]
    elif isinstance(space, spaces.Box) and levels is not None:
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ValueError(
                f"agent {name!r} acts with {space}, which has no end to lay action_levels={levels} "
                "in: give it bounds, such as by gymnasium.wrappers.RescaleAction."
            )
        bounds = zip(space.low.ravel(), space.high.ravel(), strict=True)
        each = [np.linspace(low, high, levels) for low, high in bounds]
    elif isinstance(space, spaces.Box):
        size = int(np.prod(space.shape))
        raise ValueError(
            f"agent {name!r} acts with {space}, which is continuous, and value factorization "
            f"chooses among finitely many actions: action_levels=5 gives each of its {size} "
            f"numbers 5 levels, {5**size:,} actions in all (in a config env.action_levels=5); or "
            "make the environment with discrete actions, as continuous_actions=False does in MPE."
        )
    else:
        raise ValueError(
            f"agent {name!r} acts with {space}. Expected Discrete, MultiDiscrete, or a Box with "
            "action_levels."
        )
    if (n_actions := int(np.prod([len(one) for one in each], dtype=object))) > MOST_ACTIONS:
        raise ValueError(
            f"agent {name!r} acts with {space}, which is {n_actions:,} actions where "
            f"{MOST_ACTIONS:,} are the most: take fewer action_levels, or let it choose fewer "
            "numbers at once."
        )
    dtype = space.dtype
    return [np.array(one, dtype).reshape(space.shape) for one in itertools.product(*each)]


def _without_mask(space: Any) -> Any:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict) and MASK in space.spaces:
        return spaces.Dict({key: one for key, one in space.items() if key != MASK})
    return space


def _n_features(name: Any, space: Any) -> int:
    from gymnasium.spaces import flatdim

    try:
        return flatdim(space)
    except (ValueError, NotImplementedError) as error:
        raise ValueError(
            f"agent {name!r} observes {space}, which has no fixed size, and a network needs one: "
            "let it observe a Box, a Discrete, or a Dict or Tuple of such."
        ) from error
