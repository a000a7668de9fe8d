"""The game behind a ``StarCraft2Env``: how it starts, what its failures mean, how it ends."""

import multiprocessing
import os
import signal
import threading
import weakref

INSTALL = (
    'pip install "torchrl_drigm[smac]" && '
    "pip install --no-deps git+https://github.com/oxwhirl/smac.git"
)
# A start can fail by chance, for instance when another process takes the port chosen for it.
LAUNCH_ATTEMPTS = 3


def import_smac(name: str) -> type:
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


def is_connection_error(error: BaseException) -> bool:
    """Whether this is what a game that is gone, late or sends nonsense raises."""
    import websocket
    from google.protobuf.message import DecodeError
    from pysc2.lib import protocol, remote_controller

    return isinstance(
        error,
        (
            protocol.ConnectionError,
            protocol.ProtocolError,
            remote_controller.ConnectError,
            remote_controller.RequestError,
            websocket.WebSocketException,
            DecodeError,
            UnicodeDecodeError,
            ConnectionError,
        ),
    )


def missing_game(error: BaseException) -> FileNotFoundError | None:
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


class Game:
    """The running game of a ``StarCraft2Env``.

    Its process ends with :meth:`end` and :meth:`close`, when this object is collected, when the
    interpreter exits, and when a worker process that holds it is terminated.

    Args:
        env: the ``StarCraft2Env``.
    """

    def __init__(self, env):
        self._env = env
        self._start_new = False
        self._initialised = bool(env.agents)  # whether smac's first reset is behind us
        self.close = weakref.finalize(self, _end_process, env, os.getpid())
        _closers[:] = [close for close in _closers if close.alive]
        _closers.append(self.close)
        _close_games_on_sigterm()

    def seed(self, seed: int | None) -> None:
        """Set the seed. It goes into the request that creates a game, so a new one must start."""
        self._env._seed = seed
        self._start_new = self._env._sc2_proc is not None

    def end(self) -> None:
        """End the process in such a way that the next battle starts another."""
        _end_process(self._env, os.getpid())
        self._start_new = True

    def start_battle(self) -> None:
        """Start a battle, in the running game or in a new one.

        Raises:
            FileNotFoundError: game or map is not installed.
            ConnectionError: the game did not start in three attempts.
        """
        env = self._env
        error: Exception = ConnectionError("lost while a battle began")
        for _ in range(LAUNCH_ATTEMPTS):
            # smac starts a game and works out its largest reward when _episode_count is 0, and
            # counts an episode only when it ends. An episode left earlier must not make it do
            # both again, as the reward's scale would change.
            first = not self._initialised or self._start_new
            env._episode_count = 0 if first else max(1, env._episode_count)
            restarts = env.force_restarts
            try:
                if self._start_new:
                    _end_process(env, os.getpid())
                env.reset()
            except Exception as caught:
                error = caught
                self.forget_units()
                # Losing the game within its reset, smac may go on without units.
                lost = env.force_restarts > restarts or is_connection_error(caught)
                self.end()
                missing = missing_game(caught)
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
            self._start_new = False
            if env.force_restarts == restarts:
                return
            # smac lost the game within its reset and may have returned units of the old one.
            self.forget_units()
        raise ConnectionError(
            f"StarCraft II did not start in {LAUNCH_ATTEMPTS} attempts; its own output says why. "
            f"The last error: {error!r}"
        ) from error

    def forget_units(self) -> None:
        """Keep smac's reset from killing, in a new game, some units by the tags of an old one.

        It would then wait for ever for the battle to be complete.
        """
        self._env.agents, self._env.enemies = {}, {}


def _end_process(env, owner: int) -> None:
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


_closers: list[weakref.finalize] = []  # of the games of this process


def _close_games_on_sigterm() -> None:
    """Let a worker process that is terminated end its games; it would leave them running."""
    if (
        multiprocessing.parent_process() is None
        or threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return

    def end(signum, frame):
        for close in _closers:
            close()
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, end)
