"""SustainGym's EV charging in batches.

Axes: ``B`` copies of the environment (``num_envs``), ``n`` stations, one agent each, ``k`` steps of
forecast, ``c`` constraints of the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from torchrl_drigm._garages import PERIODS, SITES, check_days, check_garages
from torchrl_drigm.envs._seeded import SeededEnv
from torchrl_drigm.envs.libs._building_checks import check_at_least
from torchrl_drigm.envs.libs._building_specs import building_specs
from torchrl_drigm.envs.libs._charging_model import MOMENTS, load_charging, require_evcharging
from torchrl_drigm.envs.libs._reset_checks import check_chosen

__all__ = ["EVChargingEnv"]

STEPS_PER_HOUR = 12
FULL = 1e-3  # kWh: a vehicle that wants no more is not shown


class EVChargingEnv(SeededEnv):
    """Many copies of SustainGym's ``EVChargingEnv`` on its real days, stepped at once in torch.

    One agent sets the pilot signal of one charging station of a garage. An episode is a day of 288
    five-minute steps. Vehicles, emissions, the network and the prices are read off the installed
    ``sustaingym``, whose own ``step`` this class follows, without a projection of the actions.

    Keys, all floating point in float32:

    - ``("agents", "observation")`` ``[B, n, 4 + k]``: of the vehicle at the agent's own station,
      until when it said to stay, in steps from now, and what it still wants, in kWh, both 0 where
      there is none; and shared by all, the share of the day that is over, the marginal emissions of
      the grid, and their forecast for the next ``k`` steps, in kg CO2 / kWh.
    - ``"state"`` ``[B, 2 n + 2 + k]``: the former two of all stations, one after the other, and the
      shared ones once.
    - ``("agents", "action")`` ``[B, n]`` int64: level ``k`` of ``L = n_action_levels`` is the pilot
      signal ``32 k / (L - 1)`` A, as SustainGym rounds it to what a station can do.
    - ``"reward"`` ``[B, 1]``: what the garage earns in the step, in $: profit, less the price of
      emissions, less that of currents over the network's limits. Signals count there even where
      nobody is plugged in. SustainGym gives each of ``n`` agents an ``n``-th of it: this is their
      sum.
    - ``"done"``, ``"truncated"``, ``"terminated"`` ``[B, 1]``: the end of the day is a truncation,
      though SustainGym calls it a termination; nothing terminates.

    A reset starts each copy in a garage and on a day drawn uniformly from ``garages`` and
    ``days``; ``reset(TensorDict({"day": ..., "garage": ...}, [B]))`` sets either, or both, as int64
    ``[B]`` or ``[B, 1]``: a day of the garage's period from 0, and indices into ``garages``. Under
    a ``TransformedEnv`` pass them as keywords. Day ``d`` is that of ``reset(seed=d)`` with a
    sequential ``RealTraceGenerator``: vehicles of day ``d``, and the emissions of the day after.

    Args:
        garages: pairs (site, period): ``"caltech"`` with 54 stations or ``"jpl"`` with 52, and
            ``"Summer 2019"``, ``"Fall 2019"``, ``"Spring 2020"`` or ``"Summer 2021"``.
        days: half-open range ``(lo, hi)`` of days of the periods; ``None`` for all of each.
        n_action_levels: size of each agent's action grid. The default is that of SustainGym's own
            ``DiscreteActionWrapper``, all of which every station can do.
        moer_forecast_steps: steps of forecast, ``k``, from 1 to 36.
        n_stations: number of agents; those beyond a site's own stations never have a vehicle, so
            that one team can work at both. Default: that of the largest site of ``garages``.
        num_envs: number of copies, ``B``.
        seed: seed of all that is random; drawn from torch's generator if ``None``.
        device: where the copies live. Random numbers are drawn on the CPU.

    Attributes:
        day: ``[B]`` int64, the day that each copy is in.
        garage: ``[B]`` int64, the index of each copy's garage.

    Raises:
        ImportError: the extra ``evcharging`` is not installed.
        ValueError: an argument, or an entry of a reset, is out of its range.

    Example:
        >>> from tensordict import TensorDict
        >>> env = EVChargingEnv([("jpl", "Summer 2019")], num_envs=2, seed=0)
        >>> env.reset(TensorDict({"day": torch.tensor([0, 30])}, [2]))["state"].shape
        torch.Size([2, 142])
        >>> env.rollout(3)["next", "reward"].shape
        torch.Size([2, 3, 1])
    """

    _episode = ("day", "garage", "_row", "_last_row", "_wanted")

    def __init__(
        self,
        garages: Sequence[tuple[str, str]] = (("caltech", "Summer 2019"),),
        *,
        days: tuple[int, int] | None = None,
        n_action_levels: int = 5,
        moer_forecast_steps: int = 36,
        n_stations: int | None = None,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        require_evcharging("EVChargingEnv")
        check_garages(garages)
        if days is not None:
            check_days(days, garages)
        check_at_least("n_action_levels", n_action_levels, 2)
        check_at_least("num_envs", num_envs, 1)
        check_at_least("moer_forecast_steps", moer_forecast_steps, 1)
        if moer_forecast_steps > 36:
            raise ValueError(
                f"moer_forecast_steps={moer_forecast_steps} must be at most 36, three hours."
            )
        least = max(SITES[site] for site, _ in garages)
        n = least if n_stations is None else n_stations
        check_at_least("n_stations", n, least)
        super().__init__(device=device, batch_size=[num_envs])

        self.garages = [tuple(garage) for garage in garages]
        self.days = None if days is None else tuple(days)
        self.n_agents, self.n_action_levels = n, n_action_levels
        models = [load_charging(*one, n_action_levels, moer_forecast_steps, n) for one in garages]
        first = models[0]
        self._prices = first.profit, first.carbon, first.violation
        self._voltage, self._battery = first.voltage, first.battery
        n_limits = max(len(model.limits) for model in models)
        network = torch.zeros(len(models), 2, n_limits, n)  # those without a limit are never over
        limits = torch.full((len(models), n_limits), torch.inf)
        for i, model in enumerate(models):
            c = len(model.limits)
            network[i, :, :c], limits[i, :c] = model.network.view(2, c, n), model.limits
        n_days = torch.tensor([PERIODS[period] for _, period in self.garages])
        constants = {
            "_arriving": torch.cat([model.arriving for model in models]),
            "_departure": torch.cat([model.departure for model in models]),
            "_emissions": torch.cat([model.emissions for model in models]),
            "_pilots": torch.stack([model.pilots for model in models]),
            "_network": network.flatten(1, 2),
            "_limits": limits,
            "_n_days": n_days,
            "_first_row": MOMENTS * (n_days.cumsum(0) - n_days),
        }
        zeros = torch.zeros(num_envs, dtype=torch.long)
        episode = {
            "day": zeros,
            "garage": zeros,
            "_row": zeros,  # of the tables, the moment that it is now
            "_last_row": zeros + MOMENTS - 1,
            "_wanted": torch.zeros(num_envs, n),  # kWh
        }
        for name, value in constants.items():
            self.register_buffer(name, value.to(self.device), persistent=False)
        for name, value in episode.items():
            self.register_buffer(name, value.clone().to(self.device))

        k = moer_forecast_steps
        specs = building_specs(num_envs, n, 4 + k, 2 * n + 2 + k, n_action_levels, self.device)
        for name, spec in specs.items():
            setattr(self, name, spec)
        self.set_seed(seed)

    def _observe(self) -> dict[str, Tensor | TensorDict]:
        moment = MOMENTS - 1 - (self._last_row - self._row)
        here = self._departure[self._row].to(torch.float32)
        shown = (here > 0) & (self._wanted > FULL)
        stay = torch.where(shown, here - moment[:, None], 0.0)
        wanted = torch.where(shown, self._wanted, 0.0)
        time = moment[:, None] / (MOMENTS - 1)
        shared = torch.cat([time, self._emissions[self._row]], -1)  # [B, 2 + k]
        seen = torch.cat(
            [
                torch.stack([stay, wanted], -1),
                shared[:, None].expand(-1, self.n_agents, -1),
            ],
            -1,
        )
        agents = TensorDict(
            {"observation": seen}, (*self.batch_size, self.n_agents), device=self.device
        )
        return {"agents": agents, "state": torch.cat([stay, wanted, shared], -1)}

    def _charge(self, pilot: Tensor) -> Tensor:
        """What batteries take in a step, in kWh ``[B, n]``, at a pilot signal in A.

        As acnportal's ``Linear2StageBattery``: power is that of the signal until the battery is
        nearly full, and then falls with what is left.
        """
        capacity, max_power, transition = self._battery
        most = max_power / STEPS_PER_HOUR
        asked = (pilot * (self._voltage / 1000 / STEPS_PER_HOUR)).clamp(max=most)
        # what a battery lacks where its power begins to fall; the exponents are per that
        end = (1 - transition) * capacity * asked / most
        scale = end.clamp(min=torch.finfo(end.dtype).tiny)
        wanted = self._wanted
        over = (asked - (wanted - end).clamp(min=0)).clamp(min=0)
        falling = wanted.minimum(end) * -torch.expm1(-over / scale)
        return torch.where(asked > 0, asked - over + falling, 0.0)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        levels = tensordict.get(("agents", "action"))
        pilot = self._pilots[self.garage].gather(1, levels[:, None])[:, 0]  # [B, n]
        present = (self._departure[self._row] > 0).to(pilot.dtype)
        energy = self._charge(pilot) * present
        currents = torch.bmm(self._network[self.garage], pilot[..., None])  # [B, 2 c, 1]
        currents = torch.linalg.vector_norm(currents.view(len(pilot), 2, -1), dim=1)
        over = (currents - self._limits[self.garage]).clamp(min=0).sum(-1, keepdim=True)

        self._row = torch.minimum(self._row + 1, self._last_row)
        arriving = self._arriving[self._row]
        staying = self._departure[self._row] > 0
        left = torch.where(staying, self._wanted - energy, 0.0)
        self._wanted = torch.where(arriving > 0, arriving, left)
        profit, carbon, violation = self._prices
        amperes = energy.sum(-1, keepdim=True) * (1000 * STEPS_PER_HOUR / self._voltage)
        gain = profit - carbon * self._emissions[self._row, :1]
        truncated = (self._row == self._last_row).unsqueeze(-1)
        return TensorDict(
            {
                **self._observe(),
                "reward": gain * amperes - violation * over,
                "done": truncated.clone(),
                "terminated": torch.zeros_like(truncated),
                "truncated": truncated,
            },
            self.batch_size,
            device=self.device,
        )

    def _reset(
        self,
        tensordict: TensorDictBase | None = None,
        *,
        day: Tensor | None = None,
        garage: Tensor | None = None,
        **kwargs,
    ) -> TensorDictBase:
        reset = None if tensordict is None else tensordict.get("_reset", None)
        reset = torch.ones_like(self.day, dtype=torch.bool) if reset is None else reset.flatten()
        if tensordict is not None:
            day = tensordict.get("day", day)
            garage = tensordict.get("garage", garage)
        if garage is None:
            garage = self._random(torch.rand).mul(len(self.garages)).long()
        else:
            garage = check_chosen("garage", garage, reset, len(self.garages)).to(self.day)
        self.garage = torch.where(reset, garage, self.garage)
        n_days = self._n_days[self.garage]
        if day is None:
            low, high = (0, n_days) if self.days is None else self.days
            day = low + (self._random(torch.rand) * (high - low)).long()
        else:
            bound = int(n_days[reset].min()) if reset.any() else None
            day = check_chosen("day", day, reset, bound).to(self.day)
        self.day = torch.where(reset, day, self.day)
        first = self._first_row[self.garage] + MOMENTS * self.day
        self._row = torch.where(reset, first, self._row)
        self._last_row = first + MOMENTS - 1
        self._wanted = torch.where(reset[:, None], 0.0, self._wanted)

        done = torch.zeros_like(reset).unsqueeze(-1)
        return TensorDict(
            {
                **self._observe(),
                "done": done,
                "terminated": done.clone(),
                "truncated": done.clone(),
            },
            self.batch_size,
            device=self.device,
        )
