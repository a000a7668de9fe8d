"""A wrapper around one of SustainGym's multi-agent environments. Axis: ``n`` agents."""

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

from torchrl_drigm.envs.libs._building_checks import check_at_least, require_sustaingym
from torchrl_drigm.envs.libs._sustaingym_views import view_of


class SustainGymWrapper(_EnvWrapper):
    """One of SustainGym's multi-agent environments as it is.

    All agents must have the same observation space and the same action space, which holds for
    ``MultiAgentBuildingEnv`` and ``MultiAgentEVChargingEnv``. Of the building, the keys and
    features are those of :class:`~torchrl_drigm.envs.SustainGymEnv`, without its batch dimension;
    of EV charging those of :class:`~torchrl_drigm.envs.EVChargingEnv`. Neither needs the other's
    extra.

    - ``("agents", "observation")`` ``[n, F]`` float32: each agent's observation, flattened; in a
      building its own zone and the four features that all share, ``F = 5``; at a charging station
      its own vehicle and what all share.
    - ``"state"`` ``[S]`` float32: the environment's ``state()``; of charging all vehicles, and what
      all share once. Where there is none, all agents' observations one after the other.
    - ``("agents", "action")``: ``[n]`` int64 for discrete actions, ``[n, *shape]`` float32 in the
      box's bounds for continuous ones, or levels of these.
    - ``"reward"`` ``[1]``: the sum over the agents. A building gives each of them all of its
      reward, and the sum is ``n`` times that, as in the paper; EV charging gives each an ``n``-th,
      and the sum is what the garage earns.
    - ``"done"``, ``"truncated"``, ``"terminated"`` ``[1]``: SustainGym's episodes end by the clock,
      whichever flag they raise, so the end is a truncation and never a termination.

    In a building, a reset draws a day of the year uniformly; the entry ``"day"`` (one integer in
    [0, 365)) of the tensordict given to ``reset`` sets it. So it does in EV charging with a
    ``RealTraceGenerator`` that is ``sequential``, where days are those of its period. There,
    ``project_action_in_env=True`` needs a licence of MOSEK.

    Args:
        env: the environment, a PettingZoo ``ParallelEnv``; agents may be named by numbers.
        n_action_levels: makes continuous actions of one number discrete: level ``k`` of ``L`` is
            ``low + k (high - low) / (L - 1)``. Default: actions as they are.
        device: where the tensors go.

    Raises:
        ImportError: SustainGym is not installed.
        TypeError: ``env`` is not a ``ParallelEnv``.
        ValueError: the agents' spaces differ, actions are neither discrete nor a box, or not of one
            number with ``n_action_levels``, or a reset sets a day that does not exist.
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

    def __init__(
        self,
        env,
        *,
        n_action_levels: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        if n_action_levels is not None:
            check_at_least("n_action_levels", n_action_levels, 2)
        super().__init__(
            env=env, n_action_levels=n_action_levels, device=device, batch_size=torch.Size([])
        )

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

    def _build_env(self, env, n_action_levels: int | None):
        self.n_action_levels = n_action_levels
        return env

    def _make_specs(self, env) -> None:
        from gymnasium import spaces

        self._agent_names = list(env.possible_agents)
        self._view = view_of(env, self._common_space("observation", env.observation_space))
        self._action_space = self._common_space("action", env.action_space)
        self._levels = None
        n, device = len(self._agent_names), self.device
        n_levels = self.n_action_levels

        if n_levels is not None:
            box = self._action_space
            if not isinstance(box, spaces.Box) or box.shape != (1,):
                raise ValueError(
                    f"n_action_levels={n_levels} makes levels of continuous actions of one "
                    f"number, and each agent's action space is {box}: leave it out."
                )
            self._levels = torch.linspace(box.low[0], box.high[0], n_levels).numpy()
            action = Categorical(n_levels, shape=(n,), device=device)
        elif isinstance(self._action_space, spaces.Discrete):
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
        seen, state = self._view.read(observations)
        agents = {"observation": torch.as_tensor(seen, dtype=torch.float32, device=self.device)}
        return TensorDict(
            {
                "agents": TensorDict(agents, [len(seen)], device=self.device),
                "state": torch.tensor(state, dtype=torch.float32, device=self.device),
            },
            device=self.device,
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if not self._env.agents:
            raise RuntimeError("The episode is over: reset before the next step.")
        actions = tensordict.get(("agents", "action")).cpu().numpy()
        if self._levels is not None:
            actions = self._levels[actions]
        elif self._action_space.shape == (1,):
            # SustainGym writes each action into a slot of an array, where NumPy 2.4 refuses
            # arrays of one element.
            actions = actions[:, 0]
        actions = dict(zip(self._view.keys, actions, strict=True))
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
        days = self._view.days
        if day is None:
            seed = torch.randint(days or 2**31, (), generator=self._generator).item()
        elif days is None:
            raise ValueError(
                "reset: only the building environment has a 'day' to set, and EV charging with "
                "real days one after the other, RealTraceGenerator(..., sequential=True)."
            )
        else:
            seed = int(day)
            if not 0 <= seed < days:
                raise ValueError(f"reset: day={seed} must be in [0, {days}).")
        observations, _ = self._env.reset(seed=seed)
        done = torch.zeros(1, dtype=torch.bool, device=self.device)
        return self._read(observations).update(
            {"done": done, "terminated": done.clone(), "truncated": done.clone()}
        )
