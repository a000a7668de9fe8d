"""SustainGym's EV charging as a task.

Axes: ``S`` shifts, ``E`` episodes of each, ``B = S * E`` copies of the environment, shift-major;
``n`` stations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor
from torchrl.envs import Compose, ObservationNorm, Transform, TransformedEnv

from torchrl_drigm._garages import PERIODS, SITES, check_days, check_garages
from torchrl_drigm.envs import EVChargingEnv
from torchrl_drigm.envs.libs._charging_model import require_evcharging
from torchrl_drigm.tasks._building_days import draw_days
from torchrl_drigm.tasks._charging_suites import TRAINED_DAYS, TRAINED_GARAGE
from torchrl_drigm.tasks._outlines import EVCHARGING
from torchrl_drigm.tasks._wrong_shifts import garage_of, wrong_in_garage
from torchrl_drigm.tasks.base import Task, Trial
from torchrl_drigm.tasks.references import ReferencePolicy
from torchrl_drigm.tasks.suites import Shift

__all__ = ["ChargeAtOnce", "EVChargingTask"]

Garage = tuple[str, str]


class ChargeAtOnce(ReferencePolicy):
    """Every vehicle gets full power until it has what it wants: what a garage without control does.

    Examples:
        >>> env = EVChargingEnv(num_envs=1, seed=0)
        >>> policy = ChargeAtOnce()
        >>> policy.bind(env)
        >>> policy(env.reset())["agents", "action"].unique()  # nobody is there at night
        tensor([0])
    """

    def act(self, observation: Tensor) -> Tensor:
        """The highest level where something is wanted, 0 elsewhere."""
        return (observation[..., 1] > 0) * (self.env.n_action_levels - 1)


class EVChargingTask(Task):
    """Charging the vehicles of a garage, an episode being one day that there was.

    The return is what the garage earns in a day, in $. The team always has the stations of the
    largest site, 54, so that it can be judged at each; at the other one two of them stand empty.

    Args:
        garages (sequence): (site, period) pairs to train in, one at random per episode.
        days (tuple): half-open range of days of the period to train on; ``None`` for all.
        n_action_levels (int): size of each agent's action grid.
        moer_forecast_steps (int): steps of forecast of emissions that agents see, ``k``.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`. ``loc`` and ``scale`` are one
            number, or one for each of the ``4 + k`` features of an observation.

    Raises:
        ValueError: naming the field, its value and what must hold.

    Examples:
        >>> task = EVChargingTask(moer_forecast_steps=12, num_envs=2)
        >>> task.train_env(seed=0).reset()["agents", "observation"].shape
        torch.Size([2, 54, 16])
    """

    name = "evcharging"
    shifts: ClassVar[Mapping[str, str]] = EVCHARGING.shifts
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = EVCHARGING.suites
    packages = ("sustaingym", "acnportal")

    def __init__(
        self,
        *,
        garages: Sequence[Garage] = (TRAINED_GARAGE,),
        days: tuple[int, int] | None = TRAINED_DAYS,
        n_action_levels: int = 5,
        moer_forecast_steps: int = 36,
        loc: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        **settings: Any,
    ) -> None:
        n = 4 + moer_forecast_steps
        loc, scale = ((v,) * n if isinstance(v, int | float) else v for v in (loc, scale))
        for name, values in {"loc": loc, "scale": scale}.items():
            if len(values) != n:
                raise ValueError(
                    f"env.{name}={list(values)} must have a number for each of the {n} features of "
                    f"an observation, env.moer_forecast_steps={moer_forecast_steps} and four more; "
                    "or be one number for all."
                )
        super().__init__(loc=loc, scale=scale, **settings)
        self.garages = [tuple(garage) for garage in garages]
        self.days = None if days is None else tuple(days)
        self.n_action_levels = n_action_levels
        self.moer_forecast_steps = moer_forecast_steps

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` copies, each day drawn from the days and garages."""
        shifted = {"site", "period"} & set(shift)
        garages = [self._garage(shift)] if shifted else self.garages
        env = self._batch(garages, num_envs, seed, shift.get("days", self.days))
        return TransformedEnv(env, Compose())

    def _garage(self, shift: Shift) -> Garage:
        return garage_of(shift, self.garages)

    def _batch(
        self, garages: Sequence[Garage], num_envs: int, seed: int, days: Any = None
    ) -> EVChargingEnv:
        return EVChargingEnv(
            garages,
            days=days,
            n_action_levels=self.n_action_levels,
            moer_forecast_steps=self.moer_forecast_steps,
            n_stations=max(SITES.values()),
            num_envs=num_envs,
            seed=seed,
            device=self.device,
        )

    def learning_transforms(self, env: TransformedEnv) -> list[Transform]:
        """The state in units of the observations, laid out as the state."""
        n = env.base_env.n_agents

        def of_state(values: Sequence[float]) -> Tensor:
            departure, wanted, *shared = values
            return torch.tensor([departure] * n + [wanted] * n + shared, dtype=torch.float32)

        loc, scale = of_state(self.loc), of_state(self.scale)
        return [ObservationNorm(loc, scale, in_keys=["state"], standard_normal=True)]

    def check(self) -> None:
        """Garages, days and the extra must be there.

        Raises:
            ImportError: the extra ``evcharging`` is not installed.
            ValueError: naming the field, its value and what must hold.
        """
        require_evcharging(type(self).__name__)
        check_garages(self.garages)
        if self.days is not None:
            check_days(self.days, self.garages)

    def wrong_in(self, shift: Shift) -> str | None:
        """A site, a period and days of it."""
        return wrong_in_garage(shift, self.garages, self.days)

    def contents(self, shift: Shift) -> Shift:
        """Garage and days; without them they are the first ones of training."""
        site, period = self._garage(shift)
        return {"site": site, "period": period, "days": self._days(shift)}

    def trained_in(self, shift: Shift) -> bool:
        """In any of the garages of training, on days that are all among those of training."""
        first, last = self.days or (0, PERIODS[self._garage(shift)[1]])
        low, high = self._days(shift)
        return self._garage(shift) in self.garages and first <= low and high <= last

    def _days(self, shift: Shift) -> tuple[int, int]:
        days = shift.get("days", self.days)
        if days is None:
            days = 0, PERIODS[self._garage(shift)[1]]
        return tuple(days)

    def trials(self, shifts: Sequence[Shift], episodes: int, seed: int) -> Iterator[Trial]:
        """All episodes of all shifts in one batch.

        Days are drawn without replacement while there are enough, from ``seed`` alone: shifts over
        the same range of days share them.
        """
        garage = [self._garage(shift) for shift in shifts]
        garages = list(dict.fromkeys(garage))
        days = torch.cat([draw_days(*self._days(shift), episodes, seed) for shift in shifts])
        env = self._batch(garages, len(days), seed)
        index = torch.tensor([garages.index(one) for one in garage])  # [S]
        rows = pd.DataFrame(
            {
                "shift": [shift["name"] for shift in shifts for _ in range(episodes)],
                "site": [site for site, _ in garage for _ in range(episodes)],
                "period": [period for _, period in garage for _ in range(episodes)],
                "episode": list(range(episodes)) * len(shifts),
                "day": days.numpy(),
            }
        )
        reset = {"day": days, "garage": index.repeat_interleave(episodes)}
        yield Trial(TransformedEnv(env, Compose()), rows, reset)

    @property
    def references(self) -> Mapping[str, Callable[[], Callable]]:
        """Policies that need no learning."""
        return {"charge at once": ChargeAtOnce}
