"""StarCraft II battles of the StarCraft Multi-Agent Challenge (SMAC).

Axes: ``n`` agents, ``e`` enemies, ``A = 6 + e`` actions of each agent.
"""

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

from torchrl_drigm.envs.libs._smac_game import (
    Game,
    import_smac,
    is_connection_error,
    missing_game,
)

__all__ = ["SMACEnv", "SMACWrapper"]


class SMACWrapper(_EnvWrapper):
    """A ``StarCraft2Env`` of the ``smac`` package. One environment is one running game.

    - ``("agents", "observation")`` ``[n, F]`` float32; see :meth:`feature_index`.
    - ``"state"`` ``[S]`` float32.
    - ``("agents", "action")`` ``[n]`` int64: no-op (dead agents only), stop, move north, south,
      east, west, then attack enemy 0 to ``e - 1``.
    - ``("agents", "action_mask")`` ``[n, A]`` bool: the actions that each agent may take. The
      action spec carries the same mask, so random actions are available ones. A
      ``TransformedEnv`` keeps specs of its own, and ``ParallelEnv`` does not hand masks of specs
      on from its workers: append
      ``ActionMask(action_key=("agents", "action"), mask_key=("agents", "action_mask"))`` there.
      Around a ``SerialEnv`` that lags behind when only some games are reset: choose by the
      ``action_mask`` in the data there, as ``EGreedyModule(action_mask_key=...)`` does.
    - ``"reward"`` ``[1]`` float32: the team's.
    - ``"terminated"`` ``[1]`` bool: the battle is over: won, lost, or all units dead.
    - ``"truncated"`` ``[1]`` bool: the map's limit of steps is reached, whatever the
      environment's ``continuing_episode`` is, or the connection to the game was lost.
    - ``"done"`` ``[1]`` bool: either.
    - ``"info"``, all ``[1]``: ``"battle_won"``, ``"episode_limit"`` (cut by the limit) and
      ``"connection_lost"``, bool; ``"dead_allies"`` and ``"dead_enemies"``, int64 counts.

    A game that dies, does not answer in time (pysc2's flag ``sc2_timeout``, 360 s) or answers
    nonsense costs the running episode: the step returns the last observation seen, reward 0 and
    truncated, ``("info", "connection_lost")`` marks it, ``lost_connections`` counts it, and the
    next reset plays on in a new game. What happened in that step is unknown: leave it out of
    training if it must not count as one without reward.

    The game starts at the first reset. A seed acts when a game starts, so after
    :meth:`set_seed` the next reset starts a new one, which takes seconds. The process ends
    with :meth:`close`, when the environment is collected or the interpreter exits, when a worker
    process is terminated, and when smac raises; after the last, a reset starts a new game.

    Args:
        env: the environment; the wrapper owns it from here on.
        device: where the tensors go.

    Attributes:
        lost_connections: how many episodes a lost connection cut.

    Raises:
        ImportError: the package is missing, or another project of its name is installed.
        TypeError: ``env`` is not a ``StarCraft2Env``.
        FileNotFoundError: at a reset, game or map is not installed.
        ConnectionError: at a reset, the game did not start in three attempts.
        ValueError: an action is not available, or observation or state do not have the size that
            the environment states.
        RuntimeError: a step after the end of the episode or before the first reset, or a reset
            after ``close``.

    Example:
        >>> from smac.env import StarCraft2Env  # doctest: +SKIP
        >>> env = SMACWrapper(StarCraft2Env("3s_vs_5z"))  # doctest: +SKIP
        >>> env.rollout(3)["agents", "observation"].shape  # doctest: +SKIP
        torch.Size([3, 3, 48])
    """

    git_url = "https://github.com/oxwhirl/smac"
    libname = "smac"

    def __init__(self, env=None, *, device: torch.device | str | int | None = None, **kwargs):
        if env is not None:
            kwargs["env"] = env
        super().__init__(device=device, batch_size=torch.Size([]), **kwargs)

    @property
    def lib(self):
        """The ``smac`` package."""
        import smac

        return smac

    def _check_kwargs(self, kwargs: dict) -> None:
        env_class = import_smac(type(self).__name__)
        if not isinstance(kwargs.get("env"), env_class):
            raise TypeError(
                f"env is a {type(kwargs.get('env')).__name__}; expected a smac.env.StarCraft2Env, "
                'such as StarCraft2Env("3s_vs_5z").'
            )

    def _build_env(self, env):
        return env

    def _make_specs(self, env) -> None:
        n, device = env.n_agents, self.device
        self._n_actions = env.get_total_actions()

        def flag(*shape):
            return Categorical(2, shape=shape, dtype=torch.bool, device=device)

        def count(high):
            return Bounded(0, high, shape=(1,), dtype=torch.int64, device=device)

        agents = Composite(
            observation=Unbounded((n, env.get_obs_size()), device=device),
            action_mask=flag(n, self._n_actions),
            shape=(n,),
            device=device,
        )
        info = Composite(
            battle_won=flag(1),
            episode_limit=flag(1),
            connection_lost=flag(1),
            dead_allies=count(n),
            dead_enemies=count(env.n_enemies),
            device=device,
        )
        state = Unbounded((env.get_state_size(),), device=device)
        self.observation_spec = Composite(agents=agents, state=state, info=info, device=device)
        action = Categorical(self._n_actions, shape=(n,), device=device)
        self.action_spec = Composite(
            agents=Composite(action=action, shape=(n,), device=device), device=device
        )
        self.reward_spec = Unbounded((1,), device=device)
        self.done_spec = Composite(
            done=flag(1), terminated=flag(1), truncated=flag(1), device=device
        )

    def _init_env(self) -> None:
        self.lost_connections = 0
        self._last: TensorDict | None = None  # what the last step or reset returned
        self._over = True
        self._game = Game(self._env)

    def _set_seed(self, seed: int | None) -> None:
        self._game.seed(seed)

    def close(self, *, raise_if_closed: bool = True) -> None:
        """End the game's process; a second call does nothing."""
        self.is_closed = True
        self._game.close()

    def feature_index(self, name: str) -> dict[str, Tensor]:
        """Where a named feature is in an agent's observation.

        Read off ``StarCraft2Env.get_obs_agent``: the features of movement come first, then for
        each enemy: attackable, distance, relative x, relative y (both divided by the sight
        range), health with ``obs_all_health``, and more. How many these are, the environment says
        (``get_obs_move_feats_size``, ``get_obs_enemy_feats_size``).

        Args:
            name: ``"enemy_position"``, relative to the observer and divided by its sight range.

        Returns:
            Int64 tensors: ``"position"`` ``[e, 2]``, the indices of x and y of each enemy;
            ``"visible"`` ``[e]``, the index of the feature that is positive exactly where that
            enemy is seen: its health, or its distance with ``obs_all_health=False`` (which is zero
            in the very same place too).

        Raises:
            ValueError: the name is unknown.
        """
        if name != "enemy_position":
            raise ValueError(f"name={name!r} is unknown; valid names: enemy_position.")
        n_enemies, n_features = self._env.get_obs_enemy_feats_size()
        first = self._env.get_obs_move_feats_size() + n_features * torch.arange(n_enemies)
        visible = 4 if self._env.obs_all_health else 1
        return {"position": torch.stack([first + 2, first + 3], -1), "visible": first + visible}

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs) -> TensorDictBase:
        if self.is_closed:
            raise RuntimeError("The environment is closed: create a new one.")
        self._over = True
        try:
            self._game.start_battle()
        except BaseException:
            self._game.end()
            raise
        read = self._read()
        self._over = False
        info = self.observation_spec["info"].zero()
        return self._remember(read, info).update(self._flags())

    def _read(self) -> dict[str, Tensor]:
        """Observation, state and mask, as smac has them."""
        read = {
            "observation": torch.tensor(np.stack(self._env.get_obs()), dtype=torch.float32),
            "state": torch.tensor(self._env.get_state(), dtype=torch.float32),
            "action_mask": torch.tensor(self._env.get_avail_actions(), dtype=torch.bool),
        }
        for name, spec in [
            ("observation", self.observation_spec["agents", "observation"]),
            ("state", self.observation_spec["state"]),
        ]:
            if read[name].shape != spec.shape:
                self._game.end()
                raise ValueError(
                    f"{name} has shape {tuple(read[name].shape)}; smac announced "
                    f"{tuple(spec.shape)}. Leave out the option that adds to it "
                    "(obs_timestep_number does in smac 1.0.0)."
                )
        return read

    def _remember(self, read: dict[str, Tensor], info: TensorDict) -> TensorDict:
        """The tensordict of what was read, with its mask in the action spec."""
        agents = {key: read[key] for key in ("observation", "action_mask")}
        self._last = TensorDict(
            {
                "agents": TensorDict(agents, [self._env.n_agents]),
                "state": read["state"],
                "info": info,
            },
            device=self.device,
        )
        mask = self._last["agents", "action_mask"]
        self.full_action_spec["agents", "action"].update_mask(mask.clone())
        return self._last.clone()

    def _flags(self, *, terminated: bool = False, truncated: bool = False) -> dict[str, Tensor]:
        flags = {
            "done": terminated or truncated,
            "terminated": terminated,
            "truncated": truncated,
        }
        return {key: torch.tensor([value], device=self.device) for key, value in flags.items()}

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if self._over:
            raise RuntimeError("No episode is running: reset before the next step.")
        actions = tensordict.get(("agents", "action"))
        self._check_available(actions)
        timeouts = self._env.timeouts
        try:
            reward, ended, info = self._env.step(actions.tolist())
        except BaseException as error:
            self._game.end()
            if missing_game(error) is None and not is_connection_error(error):
                self._over = True
                raise
            info = {}
        if not info:
            return self._connection_lost()

        # smac counts the battles that the limit cut; its info tells only with continuing_episode.
        cut = self._env.timeouts > timeouts
        self._over = ended
        entries = {"connection_lost": False, "episode_limit": cut, **info}
        info = {key: torch.tensor([entries[key]]) for key in self.observation_spec["info"]}
        out = self._remember(self._read(), TensorDict(info, device=self.device))
        out["reward"] = torch.tensor([reward], dtype=torch.float32, device=self.device)
        return out.update(self._flags(terminated=ended and not cut, truncated=cut))

    def _check_available(self, actions: Tensor) -> None:
        mask = self._last["agents", "action_mask"]
        available = mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        if not available.all():
            agent = int((~available).nonzero()[0])
            raise ValueError(
                f"Agent {agent} cannot take action {int(actions[agent])}; available are "
                f"{mask[agent].nonzero().flatten().tolist()}. Choose among the actions where "
                '("agents", "action_mask") is True.'
            )

    def _connection_lost(self) -> TensorDictBase:
        """The last step of an episode whose game is gone."""
        self.lost_connections += 1
        self._over = True
        self._game.forget_units()
        self._last["info", "connection_lost"] = torch.tensor([True], device=self.device)
        out = self._last.clone()
        out["reward"] = torch.zeros(1, device=self.device)
        return out.update(self._flags(truncated=True))


class SMACEnv(SMACWrapper):
    """A map of the StarCraft Multi-Agent Challenge; see :class:`SMACWrapper`.

    Args:
        map_name: one of SMAC's maps. 3s_vs_5z has 3 agents, 11 actions, observations of 48 and
            a state of 68 features, and a limit of 250 steps.
        device: where the tensors go.
        **kwargs: further arguments of ``smac.env.StarCraft2Env``: ``seed``, ``game_version``,
            ``difficulty``, ``obs_all_health`` and others.

    Raises:
        ImportError: the package is missing.
        ValueError: there is no such map.

    Example:
        >>> env = SMACEnv("3s_vs_5z", seed=0)  # doctest: +SKIP
        >>> env.rollout(3)["next", "reward"].shape  # doctest: +SKIP
        torch.Size([3, 1])
    """

    def __init__(
        self,
        map_name: str = "3s_vs_5z",
        *,
        device: torch.device | str | int | None = None,
        **kwargs,
    ):
        super().__init__(map_name=map_name, device=device, **kwargs)

    def _check_kwargs(self, kwargs: dict) -> None:
        import_smac(type(self).__name__)
        from smac.env.starcraft2.maps.smac_maps import get_smac_map_registry

        maps = get_smac_map_registry()
        if kwargs["map_name"] not in maps:
            raise ValueError(f"map_name={kwargs['map_name']!r} must be one of {', '.join(maps)}.")

    def _build_env(self, **kwargs):
        return import_smac(type(self).__name__)(**kwargs)
