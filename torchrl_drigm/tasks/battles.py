"""StarCraft battles as tasks: JaxMARL's SMAX, and StarCraft II itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from tensordict.utils import NestedKey
from torchrl.envs import (
    Compose,
    EnvBase,
    ObservationNorm,
    ParallelEnv,
    SerialEnv,
    Transform,
    TransformedEnv,
)

from torchrl_drigm.envs import SMACEnv, SMAXEnv
from torchrl_drigm.envs._threads import keep_threads
from torchrl_drigm.envs.transforms import ActionFailure, ObservationNoise
from torchrl_drigm.tasks._outlines import SMAC, SMAX
from torchrl_drigm.tasks.base import Task
from torchrl_drigm.tasks.seeds import battle_seeds
from torchrl_drigm.tasks.severity import (
    action_failure,
    failure_contents,
    severity_suites,
    wrong_severity,
)
from torchrl_drigm.tasks.suites import Shift
from torchrl_drigm.uncertainty._checks import is_finite_number

__all__ = ["BattlesTask", "SMACTask", "SMAXTask"]


class BattlesTask(Task):
    """What battles have in common, whoever simulates them.

    The shift of the paper's Section 5.2 is noise on every enemy's normalised position in every
    agent's observation. Actions may fail: an agent then stops instead
    (:class:`~torchrl_drigm.envs.transforms.ActionFailure`). Where they do in the nominal model,
    ``suites`` begin with ``"severity"``, and ``"validation"`` is another severity.

    Args:
        map_name (str): name of the map.
        action_failure (mapping, optional): how actions fail in the nominal model: ``rate`` and
            ``steps``. Default: never.
        num_envs (int): battles to train in at once.
        test_envs (int): battles to test in at once.
        return_scale (float): return of a perfect battle.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`.
    """

    shifts: ClassVar[Mapping[str, str]] = SMAC.shifts
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = SMAC.suites
    metrics: ClassVar[Mapping[str, NestedKey]] = SMAC.metrics
    columns = ("won", "return", "steps")
    measure = ("won", "win rate")
    max_steps = 1000
    stop: ClassVar[int]  # the action of an agent whose action fails

    def __init__(
        self,
        *,
        map_name: str = "3s_vs_5z",
        action_failure: Mapping[str, Any] | None = None,
        num_envs: int = 8,
        test_envs: int = 4,
        return_scale: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(num_envs=num_envs, **settings)
        self.map_name = map_name
        self.copies_in_tests = test_envs
        self.return_scale = return_scale
        self.action_failure = action_failure
        self._failure({}, seed=0)  # refuses what is none
        if action_failure is not None:
            own = severity_suites()  # first, and to validate in instead of the class's
            self.suites = own | type(self).suites | own

    @property
    def return_scaling(self) -> tuple[float, float]:
        """The return of a perfect battle is 1."""
        return self.return_scale, 0.0

    def wrong_in(self, shift: Shift) -> str | None:
        """``noise_std`` is a number, and ``visible_only`` belongs to it."""
        std = shift.get("noise_std", 0.0)
        if not is_finite_number(std) or std < 0:
            return f"noise_std={std!r} must be a finite number of at least 0."
        if "visible_only" in shift and "noise_std" not in shift:
            return "visible_only says which enemies have noise: give noise_std, too."
        if "severity" in shift and (wrong := wrong_severity(shift, self.action_failure)):
            return wrong
        try:
            self._failure(shift, seed=0)
        except ValueError as error:
            return str(error)
        return None

    def contents(self, shift: Shift) -> Shift:
        """Without noise it does not matter on which enemies."""
        contents = {"noise_std": 0.0, "visible_only": True} | super().contents(shift)
        contents |= failure_contents(self._failure(shift, seed=0))
        contents.pop("severity", None)  # which they tell
        return contents if contents["noise_std"] else contents | {"visible_only": True}

    def _failure(self, shift: Shift, seed: int) -> list[ActionFailure]:
        """The transform by which actions fail in a shift, if they do."""
        return action_failure(self.action_failure, shift, seed, fallback=self.stop)

    @staticmethod
    def _noise(shift: Shift) -> dict[str, Any] | None:
        """Arguments of the noise, if there is any."""
        if "noise_std" not in shift:
            return None
        return {
            "std": float(shift["noise_std"]),
            "visible_only": shift.get("visible_only", True),
        }


class SMAXTask(BattlesTask):
    """Battles of SMAX, many at once, without the game.

    Args:
        enemy_damage (float): factor on what a hit of an enemy costs, in the nominal model.
        enemy_health (float): factor on the hits that an enemy stands, in the nominal model.
        **settings: those of :class:`BattlesTask`.

    Examples:
        >>> task = SMAXTask(map_name="3s_vs_5z", num_envs=2)
        >>> env = task.make_env(2, "test", seed=11, shift={"name": "noisy", "noise_std": 0.75})
        >>> env.reset()["agents", "observation"].shape
        torch.Size([2, 3, 101])
    """

    name = "smax"
    packages = ("jaxmarl", "jax")
    shifts: ClassVar[Mapping[str, str]] = SMAX.shifts
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = SMAX.suites
    stop = 4

    def __init__(
        self, *, enemy_damage: float = 1.0, enemy_health: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.enemies = {"enemy_damage": enemy_damage, "enemy_health": enemy_health}

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` battles in one batch."""
        (seed,) = battle_seeds(purpose, seed)
        enemies = {name: float(shift.get(name, value)) for name, value in self.enemies.items()}
        env = SMAXEnv(self.map_name, num_envs=num_envs, seed=seed, device=self.device, **enemies)
        noise = self._noise(shift)
        transforms = [] if noise is None else [ObservationNoise(seed=seed, **noise)]
        return TransformedEnv(env, Compose(*self._failure(shift, seed), *transforms))

    def contents(self, shift: Shift) -> Shift:
        """Also how hard the enemies are."""
        return self.enemies | super().contents(shift)

    def wrong_in(self, shift: Shift) -> str | None:
        """Also factors that are not positive."""
        for name in self.enemies:
            value = shift.get(name, 1.0)
            if not is_finite_number(value) or value <= 0:
                return (
                    f"{name}={value!r} must be a positive number, and finite: a factor on the game."
                )
        return super().wrong_in(shift)

    def learning_transforms(self, env: TransformedEnv) -> list[Transform]:
        """The state with every feature of order 1, which JaxMARL's is not."""
        scale = env.state_scale()
        loc = torch.zeros_like(scale)
        return [ObservationNorm(loc, scale, ["state"], standard_normal=True)]


class SMACTask(BattlesTask):
    """Battles of StarCraft II: as many games as there are battles, a process each."""

    name = "smac"
    packages = ("smac", "pysc2")
    resumes_mid_episode = False
    stop = 1  # not available to the dead, who do nothing

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` games."""
        seeds = battle_seeds(purpose, seed, n=num_envs)
        games = [partial(_game, self.map_name, seed, self._noise(shift)) for seed in seeds]
        env = (
            ParallelEnv(num_envs, games, mp_start_method="spawn")
            if num_envs > 1
            else SerialEnv(1, games)
        )
        failure = self._failure(shift, battle_seeds(purpose, seed)[0])
        return TransformedEnv(keep_threads(env), Compose(*failure))

    def test_envs(self, episodes: int) -> int:
        """As many games as :attr:`copies_in_tests` says, or fewer, which all play as many."""
        most = max(1, min(self.copies_in_tests, episodes))
        return next(n for n in range(most, 0, -1) if episodes % n == 0)


def _game(map_name: str, seed: int, noise: dict[str, Any] | None) -> EnvBase:
    """One game of StarCraft II; noise goes here, where the features have their names."""
    env = SMACEnv(map_name, seed=seed)
    return env if noise is None else TransformedEnv(env, ObservationNoise(seed=seed, **noise))
