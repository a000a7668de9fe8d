"""A wrapper around one of SustainGym's multi-agent environments. Axis: ``n`` agents."""

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

from torchrl_drigm.envs.libs._building import DAYS_PER_YEAR, require_sustaingym


class SustainGymWrapper(_EnvWrapper):
    """One of SustainGym's multi-agent environments as it is.

    All agents must have the same observation space and the same action space, which holds for
    ``MultiAgentBuildingEnv`` and ``MultiAgentEVChargingEnv``. Of the building, the keys and
    features are those of :class:`~torchrl_drigm.envs.SustainGymEnv`, without its batch dimension.

    - ``("agents", "observation")`` ``[n, F]`` float32: each agent's observation, flattened; in a
      building its own zone and the four features that all share, ``F = 5``.
    - ``"state"`` ``[S]`` float32: the environment's ``state()``; where it has none, all agents'
      observations one after the other.
    - ``("agents", "action")``: ``[n]`` int64 for discrete actions, ``[n, *shape]`` float32 in the
      box's bounds for continuous ones.
    - ``"reward"`` ``[1]``: the sum over the agents.
    - ``"done"``, ``"truncated"``, ``"terminated"`` ``[1]``: SustainGym's episodes end by the clock,
      whichever flag they raise, so the end is a truncation and never a termination.

    In a building, a reset draws a day of the year uniformly; the entry ``"day"`` (one integer in
    [0, 365)) of the tensordict given to ``reset`` sets it.

    Args:
        env: the environment, a PettingZoo ``ParallelEnv``; agents may be named by numbers.
        device: where the tensors go.

    Raises:
        ImportError: SustainGym is not installed.
        TypeError: ``env`` is not a ``ParallelEnv``.
        ValueError: the agents' spaces differ, actions are neither discrete nor a box, or a reset
            sets a day that does not exist.
        RuntimeError: a step after the end of the episode.

    Example:
        >>> import contextlib, io
        >>> from sustaingym.envs.building import MultiAgentBuildingEnv, ParameterGenerator
        >>> with contextlib.redirect_stdout(io.StringIO()):  # it prints a list of the zones
        ...     parameters = ParameterGenerator(
        ...         "OfficeSmall", "Hot_Dry", "Tucson", is_continuous_action=False
        ...     )
        >>> env = SustainGymWrapper(MultiAgentBuildingEnv(parameters))
        >>> env.rollout(3)["agents", "observation"].shape
        torch.Size([3, 6, 5])
    """

    git_url = "https://github.com/chrisyeh96/sustaingym"
    libname = "sustaingym"

    def __init__(self, env, *, device: torch.device | str | int | None = None) -> None:
        super().__init__(env=env, device=device, batch_size=torch.Size([]))

    @property
    def lib(self):
        """The ``sustaingym`` package."""
        import sustaingym

        return sustaingym

    def _check_kwargs(self, kwargs: dict) -> None:
        require_sustaingym("SustainGymWrapper")
        from pettingzoo import ParallelEnv

        if not isinstance(kwargs["env"], ParallelEnv):
            raise TypeError(
                f"env is a {type(kwargs['env']).__name__}; expected a pettingzoo.ParallelEnv, "
                "such as sustaingym.envs.building.MultiAgentBuildingEnv(parameters)."
            )

    def _build_env(self, env):
        return env

    def _make_specs(self, env) -> None:
        from gymnasium import spaces
        from sustaingym.envs.building import MultiAgentBuildingEnv

        self._agent_names = list(env.possible_agents)
        self._observation_space = self._common_space("observation", env.observation_space)
        self._action_space = self._common_space("action", env.action_space)
        self._is_building = isinstance(env, MultiAgentBuildingEnv)
        n, device = len(self._agent_names), self.device

        if isinstance(self._action_space, spaces.Discrete):
            action = Categorical(int(self._action_space.n), shape=(n,), device=device)
        elif isinstance(self._action_space, spaces.Box):
            low, high = (
                torch.as_tensor(bound, dtype=torch.float32).expand(n, *self._action_space.shape)
                for bound in (self._action_space.low, self._action_space.high)
            )
            action = Bounded(low, high, dtype=torch.float32, device=device)
        else:
            raise ValueError(
                f"Each agent's action space is {self._action_space}; expected Discrete or Box."
            )

        first = self._read(env.reset(seed=0)[0])
        flag = Categorical(2, shape=(1,), dtype=torch.bool, device=device)
        self.observation_spec = Composite(
            agents=Composite(
                observation=Unbounded(first["agents", "observation"].shape, device=device),
                shape=(n,),
                device=device,
            ),
            state=Unbounded(first["state"].shape, device=device),
            device=device,
        )
        self.action_spec = Composite(
            agents=Composite(action=action, shape=(n,), device=device), device=device
        )
        self.reward_spec = Unbounded((1,), device=device)
        self.done_spec = Composite(
            done=flag, terminated=flag.clone(), truncated=flag.clone(), device=device
        )

    def _common_space(self, kind: str, space_of):
        spaces = [space_of(name) for name in self._agent_names]
        for name, space in zip(self._agent_names, spaces, strict=True):
            if space != spaces[0]:
                raise ValueError(
                    f"Agents' {kind} spaces differ, so they cannot be stacked: "
                    f"{self._agent_names[0]!r} has {spaces[0]}, {name!r} has {space}."
                )
        return spaces[0]

    def _init_env(self) -> None:
        self.set_seed(None)

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def _read(self, observations: dict) -> TensorDict:
        """Observations by agent to ``("agents", "observation")`` and ``"state"``."""
        from gymnasium.spaces import flatten

        names = self._agent_names
        if self._is_building:
            # Everyone is given the whole state: all zones, then the four shared features.
            state = self._env.state()
            seen = np.stack([np.concatenate([state[[zone]], state[-4:]]) for zone in names])
        else:
            seen = np.stack([flatten(self._observation_space, observations[a]) for a in names])
            try:
                state = self._env.state()
            except NotImplementedError:
                state = seen.flatten()
        agents = {"observation": torch.as_tensor(seen, dtype=torch.float32, device=self.device)}
        return TensorDict(
            {
                "agents": TensorDict(agents, [len(names)], device=self.device),
                "state": torch.tensor(state, dtype=torch.float32, device=self.device),
            },
            device=self.device,
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if not self._env.agents:
            raise RuntimeError("The episode is over: reset before the next step.")
        actions = tensordict.get(("agents", "action")).cpu().numpy()
        if self._action_space.shape == (1,):
            # SustainGym writes each action into a slot of an array, where NumPy 2.4 refuses
            # arrays of one element.
            actions = actions[:, 0]
        # The building's step looks actions up by position, not by name; the two differ where a
        # zone has no unit.
        names = range(len(actions)) if self._is_building else self._agent_names
        actions = dict(zip(names, actions, strict=True))
        observations, rewards, terminated, truncated, _ = self._env.step(actions)

        over = any(terminated.values()) or any(truncated.values())
        done = torch.tensor([over], device=self.device)
        return self._read(observations).update(
            {
                "reward": torch.tensor(
                    [sum(rewards.values())], dtype=torch.float32, device=self.device
                ),
                "done": done,
                "terminated": torch.zeros_like(done),
                "truncated": done.clone(),
            }
        )

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs) -> TensorDictBase:
        day = None if tensordict is None else tensordict.get("day", None)
        bound = DAYS_PER_YEAR if self._is_building else 2**31
        if day is None:
            seed = torch.randint(bound, (), generator=self._generator).item()
        elif not self._is_building:
            raise ValueError("reset: only the building environment has a 'day' to set.")
        else:
            seed = int(day)
            if not 0 <= seed < DAYS_PER_YEAR:
                raise ValueError(f"reset: day={seed} must be in [0, {DAYS_PER_YEAR}).")
        observations, _ = self._env.reset(seed=seed)
        done = torch.zeros(1, dtype=torch.bool, device=self.device)
        return self._read(observations).update(
            {"done": done, "terminated": done.clone(), "truncated": done.clone()}
        )
