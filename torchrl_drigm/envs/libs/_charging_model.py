"""SustainGym's garages as tensors.

Axes: ``n`` stations, ``D`` days of a period, ``T = 289`` moments of a day, ``c`` constraints of the
network, ``L`` levels, ``k`` steps of forecast.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["MOMENTS", "ChargingModel", "load_charging", "require_evcharging"]

MOMENTS = 289  # a day of 288 steps begins and ends with one


class ChargingModel(NamedTuple):
    """A garage in a period, read off SustainGym; stations beyond its own are never parked at.

    Attributes:
        arriving: ``[D T, n]`` kWh that a vehicle asks for which is plugged in at that moment.
        departure: ``[D T, n]`` int16, the moment at which whoever is there says to leave; 0 where
            nobody is.
        emissions: ``[D T, 1 + k]`` marginal emissions in kg CO2 / kWh, and their forecast.
        pilots: ``[L, n]`` A, the pilot signal of each level.
        network: ``[2 c, n]``, real and imaginary parts of the aggregate currents of the signals.
        limits: ``[c]`` A of these currents' magnitudes.
        profit: $ for an ampere over a step.
        carbon: $ for an ampere over a step, per kg CO2 / kWh.
        violation: $ for an ampere over a limit, over a step.
        voltage: V of the stations.
        battery: capacity in kWh, largest power in kW, state of charge from which it falls.
    """

    arriving: Tensor
    departure: Tensor
    emissions: Tensor
    pilots: Tensor
    network: Tensor
    limits: Tensor
    profit: float
    carbon: float
    violation: float
    voltage: float
    battery: tuple[float, float, float]


def require_evcharging(name: str) -> None:
    """Raises an ``ImportError`` with the install command where the extra is missing."""
    needed = ("sustaingym", "acnportal", "sklearn", "pandas")
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(
            f"{name} needs SustainGym's EV charging, and {missing[0]} is missing: pip install "
            '"torchrl_drigm[evcharging]" installs it.'
        )


@functools.lru_cache(maxsize=16)
def load_charging(
    site: str, period: str, n_levels: int, forecast_steps: int, n_stations: int
) -> ChargingModel:
    """Reads a garage in a period off SustainGym's own classes.

    Returns:
        The model, on the CPU. It is shared between callers: never write into it.
    """
    # acnportal imports the deprecated pkg_resources; without verbose=2 SustainGym's environment
    # turns off all warnings of the process
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from acnportal.acnsim import Linear2StageBattery
        from sustaingym.envs.evcharging import EVChargingEnv, RealTraceGenerator

        generator = RealTraceGenerator(site, period, sequential=True)
        env = EVChargingEnv(generator, forecast_steps, project_action_in_env=False)
        days = [
            _read_day(generator, day, n_stations, forecast_steps)
            for day in range(generator.num_days_in_date_range)
        ]
    arriving, departure, emissions = (np.concatenate(parts) for parts in zip(*days, strict=True))

    levels = np.linspace(0, 1, n_levels, dtype=np.float32)
    pilots = np.zeros((n_levels, n_stations), np.float32)
    for row, level in zip(pilots, levels, strict=True):
        signals = env._to_schedule(np.full(env.num_stations, level, np.float32))
        row[: env.num_stations] = [signal for (signal,) in signals.values()]
    matrix = env.cn.constraint_matrix * np.exp(1j * np.deg2rad(env.cn._phase_angles))
    network = np.zeros((2 * len(matrix), n_stations), np.float32)
    network[:, : env.num_stations] = np.concatenate([matrix.real, matrix.imag])
    battery = Linear2StageBattery(generator.BATTERY_CAPACITY, 0, generator.MAX_POWER)
    return ChargingModel(
        arriving=torch.from_numpy(arriving),
        departure=torch.from_numpy(departure),
        emissions=torch.from_numpy(emissions),
        pilots=torch.from_numpy(pilots),
        network=torch.from_numpy(network),
        limits=torch.as_tensor(env.cn.magnitudes, dtype=torch.float32),
        profit=env.PROFIT_FACTOR,
        carbon=env.CARBON_COST_FACTOR,
        violation=env.VIOLATION_FACTOR,
        voltage=float(env.cn._voltages[0]),
        battery=(battery._capacity, battery._max_power, battery._transition_soc),
    )


def _read_day(generator: Any, day: int, n_stations: int, forecast_steps: int) -> tuple:
    """What happens in the episode of ``reset(seed=day)``: the first three fields of a model."""
    generator.set_seed(day)
    index = {station: i for i, station in enumerate(generator.station_ids)}
    arriving = np.zeros((MOMENTS, n_stations), np.float32)
    departure = np.zeros((MOMENTS, n_stations), np.int16)
    sessions = generator._create_events()
    columns = "station_id", "arrival", "departure", "estimated_departure", "requested_energy (kWh)"
    for name, arrival, end, estimated, energy in zip(*map(sessions.get, columns), strict=True):
        # what happens at moment 0 is processed after the first step
        start, station = max(1, arrival), index[name]
        arriving[start, station] = min(energy, generator.requested_energy_cap)
        departure[start : max(start + 1, end), station] = estimated
    # its reset goes on to the next day before it looks up the emissions
    generator._update_day()
    return arriving, departure, generator.get_moer()[:, : 1 + forecast_steps].astype(np.float32)
