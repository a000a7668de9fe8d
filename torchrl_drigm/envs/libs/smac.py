"""StarCraft II battles of the StarCraft Multi-Agent Challenge (SMAC).

Axes: ``n`` agents, ``e`` enemies, ``A = 6 + e`` actions of each agent.
"""

import multiprocessing
import os
import signal
import threading
import weakref

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

INSTALL = (
    'pip install "torchrl_drigm[smac]" && '
    "pip install --no-deps git+https://github.com/oxwhirl/smac.git"
)
# A start can fail by chance, for instance when another process takes the port chosen for it.
LAUNCH_ATTEMPTS = 3

__all__ = ["SMACEnv", "SMACWrapper"]


def _import_smac(name: str) -> type:
    """The class ``StarCraft2Env``. Late, as its import is slow and sets command line flags."""
    try:
        from smac.env import StarCraft2Env
    except (ImportError, TypeError) as error:  # TypeError: protobuf is too new for pysc2
        raise ImportError(
            f"{name} needs StarCraft's smac package, published in its git repository only "
            "(the project that package registries call smac is another one): "
            f"{INSTALL}. The import says: {error}"
        ) from error
    return StarCraft2Env


def _connection_errors() -> tuple[type[Exception], ...]:
    """What a game that is gone, late or sends nonsense raises through smac and pysc2."""
    import websocket
    from google.protobuf.message import DecodeError
    from pysc2.lib import protocol, remote_controller

    return (
        protocol.ConnectionError,
        protocol.ProtocolError,
        remote_controller.ConnectError,
        remote_controller.RequestError,
        websocket.WebSocketException,
        DecodeError,
        UnicodeDecodeError,
        ConnectionError,
    )


def _missing_game(error: Exception) -> FileNotFoundError | None:
    """What to say of an error that means: game or map is not there."""
    from pysc2.lib.sc_process import SC2LaunchError

    if isinstance(error, ValueError) and "Map" not in str(error):
        return None  # such as an unknown game version, which pysc2 explains
    if not isinstance(error, (FileNotFoundError, SC2LaunchError, ValueError)):
        return None
    path = os.environ.get("SC2PATH")
    return FileNotFoundError(
        "StarCraft II, or its map, was not found: it is expected in "
        + (f"SC2PATH={path}" if path else "~/StarCraftII, as SC2PATH is not set")
        + ", with the game's Versions/Base<number> and with SMAC's maps in Maps/SMAC_Maps. "
        "Install the game (https://github.com/Blizzard/s2client-proto, Linux packages) and the "
        "maps (https://github.com/oxwhirl/smac/releases), then set SC2PATH. "
        f"pysc2 says: {error}"
    )


def _end_game(env, owner: int) -> None:
    """End the game's process, whatever state it is in.

    Args:
        env: the ``StarCraft2Env``.
        owner: the process that started the game; a forked copy must not end it.
    """
    if os.getpid() != owner:
        return
    process = getattr(getattr(env, "_sc2_proc", None), "_proc", None)
    # A first close that fails on a broken connection has dropped it; the second ends the process
    # and removes its temporary directory.
    for _ in range(2):
        try:
            env.close()
            break
        except Exception:
            continue
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


_finalizers: list[weakref.finalize] = []  # of the environments of this process


def _end_games_on_sigterm() -> None:
    """Let a worker process that is terminated end its games; it would leave them running."""
    if (
        multiprocessing.parent_process() is None
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return

    def end(signum, frame):
        for finalizer in _finalizers:
            finalizer()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, end)


class SMACWrapper(_EnvWrapper):
    """A ``StarCraft2Env`` of the ``smac`` package. One environment is one running game.

    - ``("agents", "observation")`` ``[n, F]`` float32; see :meth:`feature_index`.
    - ``"state"`` ``[S]`` float32.
    - ``("agents", "action")`` ``[n]`` int64: no-op (dead agents only), stop, move north, south,
      east, west, then attack enemy 0 to ``e - 1``.
    - ``("agents", "action_mask")`` ``[n, A]`` bool: the actions that each agent may take. The
      action spec carries the same mask, so random actions are available ones. TorchRL's batched
      environments do not hand masks of specs from their workers on: append
      ``ActionMask(action_key=("agents", "action"), mask_key=("agents", "action_mask"))`` there.
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
        env_class = _import_smac(type(self).__name__)
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
        self._start_new_game = False
        self._initialised = bool(self._env.agents)  # whether smac's first reset is behind us
        self._finalizer = weakref.finalize(self, _end_game, self._env, os.getpid())
        _finalizers[:] = [finalizer for finalizer in _finalizers if finalizer.alive]
        _finalizers.append(self._finalizer)
        _end_games_on_sigterm()

    def _set_seed(self, seed: int | None) -> None:
        self._env._seed = seed
        # The seed goes into the request that creates a game.
        self._start_new_game = self._env._sc2_proc is not None

    def close(self, *, raise_if_closed: bool = True) -> None:
        """End the game's process; a second call does nothing."""
        self.is_closed = True
        self._finalizer()

    def feature_index(self, name: str) -> Tensor:
        """Where a feature of the enemies lies in an agent's observation.

        Read off ``StarCraft2Env.get_obs_agent``: the features of movement come first, then for
        each enemy: attackable, distance, relative x, relative y (both divided by the sight
        range), health with ``obs_all_health``, and more. The numbers of features are the
        environment's own (``get_obs_move_feats_size``, ``get_obs_enemy_feats_size``). All
        features of an enemy that is dead or out of sight are zero, and there is no flag for it:
        ``"enemy_visible"`` is the feature that is positive for every enemy in sight, its health
        where observed, else its distance (zero only for an enemy in the very same place).

        Args:
            name: ``"enemy_position"``, ``"enemy_visible"``, ``"enemy_attackable"`` or
                ``"enemy_distance"``.

        Returns:
            int64 indices into the last dimension of the observation: ``[e, 2]`` (x, y) for
            ``"enemy_position"``, else ``[e]``.

        Raises:
            ValueError: there is no such feature.
        """
        offsets = {
            "enemy_attackable": 0,
            "enemy_distance": 1,
            "enemy_position": [2, 3],
            "enemy_visible": 4 if self._env.obs_all_health else 1,
        }
        if name not in offsets:
            raise ValueError(f"name={name!r} must be one of {', '.join(offsets)}.")
        n_enemies, n_features = self._env.get_obs_enemy_feats_size()
        first = self._env.get_obs_move_feats_size() + n_features * torch.arange(n_enemies)
        offset = torch.tensor(offsets[name])
        return first.unsqueeze(-1) + offset if offset.ndim else first + offset

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs) -> TensorDictBase:
        if self.is_closed:
            raise RuntimeError("The environment is closed: create a new one.")
        self._over = True
        try:
            self._start_battle()
        except BaseException:
            self._give_up_game()
            raise
        read = self._read()
        self._over = False
        info = self.observation_spec["info"].zero()
        return self._remember(read, info).update(self._flags())

    def _start_battle(self) -> None:
        """Start a battle, in the running game or in a new one."""
        env, error = self._env, None
        for _ in range(LAUNCH_ATTEMPTS):
            # smac starts a game and works out its largest reward when _episode_count is 0, and
            # counts an episode only when it ends. An episode left earlier must not make it do
            # both again, as the reward's scale would change.
            first = not self._initialised or self._start_new_game
            env._episode_count = 0 if first else max(1, env._episode_count)
            restarts = env.force_restarts
            try:
                if self._start_new_game:
                    _end_game(env, os.getpid())
                env.reset()
            except Exception as caught:
                error = caught
                self._forget_units()
                # Losing the game within its reset, smac may go on without units.
                lost = env.force_restarts > restarts or isinstance(caught, _connection_errors())
                self._give_up_game()
                missing = _missing_game(caught)
                if missing is not None:
                    raise missing from caught
                if not lost:
                    raise
                continue
            if first:
                # The sum that smac makes, which it makes again whenever units are late.
                env.max_reward = env.n_enemies * env.reward_death_value + env.reward_win
                env.max_reward += sum(u.health_max + u.shield_max for u in env.enemies.values())
                env._episode_count = 1
                self._initialised = True
            self._start_new_game = False
            if env.force_restarts == restarts:
                return
            # smac lost the game within its reset and may have returned units of the old one.
            self._forget_units()
        raise ConnectionError(
            f"StarCraft II did not start in {LAUNCH_ATTEMPTS} attempts; its own output says why. "
            f"The last error: {error}"
        ) from error

    def _forget_units(self) -> None:
        """Keep smac's reset from killing, in a new game, some units by the tags of an old one.

        It would then wait for ever for the battle to be complete.
        """
        self._env.agents, self._env.enemies = {}, {}

    def _give_up_game(self) -> None:
        """End the game in such a way that the next reset starts another."""
        _end_game(self._env, os.getpid())
        self._start_new_game = True

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
                self._give_up_game()
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
            self._give_up_game()
            if _missing_game(error) is None and not isinstance(error, _connection_errors()):
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
        self._forget_units()
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
        _import_smac(type(self).__name__)
        from smac.env.starcraft2.maps.smac_maps import get_smac_map_registry

        maps = get_smac_map_registry()
        if kwargs["map_name"] not in maps:
            raise ValueError(f"map_name={kwargs['map_name']!r} must be one of {', '.join(maps)}.")

    def _build_env(self, **kwargs):
        return _import_smac(type(self).__name__)(**kwargs)
