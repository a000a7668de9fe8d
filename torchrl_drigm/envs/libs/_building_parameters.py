"""What of a building is the user's own: set points, heaters, reward, step, ground and walls.

Axes: ``N`` zones, ``n`` of them with a heater, one agent each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torchrl_drigm.envs.libs._building_checks import check_number

__all__ = ["PER_ZONE", "BuildingParameters"]

SECONDS_PER_DAY = 24 * 60 * 60
MONTHS = 12
WALLS = ("intwall", "floor", "outwall", "roof", "ceiling", "groundfloor", "window")
#: Fields that may have a number for each zone.
PER_ZONE = ("target", "max_power", "ac_map", "full_occ")

PerZone = float | tuple[float, ...]
Monthly = tuple[float, ...]


@dataclass(frozen=True)
class BuildingParameters:
    r"""Parameters of SustainGym's ``ParameterGenerator``, by its names and with its defaults.

    Where one number for all zones is meant, give a number; otherwise a list or an array with a
    number for each of the ``N`` zones, in the order of the environment's ``zones``.

    Not here, as an episode is a day: ``episode_len`` and what makes other weather
    (:class:`RandomWeather` does). ``temp_range`` bounds nothing in SustainGym.

    Args:
        target (float or list): set points, °C from -60 to 60. An episode starts at them.
        max_power (float or list): largest power of a heater, W.
        ac_map (bool or list): whether a zone has a heater. One without has no agent; its
            temperature is in the state, and not in the reward.
        reward_beta (float): weight β of the temperatures' errors, in [0, 1]; that of the power is
            24 (1 - β).
        reward_pnorm (float): order of both norms, at least 1; ``inf`` is the largest entry.
        time_res (int): seconds in a step, a divisor of a day's 86,400. SustainGym 0.1.7 scales the
            sun's heat with the steps in an hour, so buildings get less of it in longer steps.
        ground_temp (list or mapping, optional): °C of the ground in each month, January first. A
            list is for every location that SustainGym has no temperatures of, a mapping
            ``{location: list}`` for those in it, whether SustainGym has them or not.
        U_Wall (list, optional): of a building file of one's own, thermal transmittance in W/(m² K)
            of interior walls, floors, outer walls, roof, ceilings, ground floor and windows.
        shgc (float): solar heat gain coefficient of the windows, in [0, 1].
        shgc_weight (float): factor on it.
        ground_weight (float): factor on the conductance of the ground floor.
        full_occ (float or list): persons in a zone.
        activity_sch (float): heat that a person gives off, W.

    Raises:
        ValueError: naming the field, its value and what must hold.

    Examples:
        >>> BuildingParameters(target=[20, 22, 21], max_power=5000).target
        (20.0, 22.0, 21.0)
        >>> BuildingParameters(time_res=420)
        Traceback (most recent call last):
        ValueError: time_res=420 must be an int of seconds that divides a day's 86400, such as 300.
    """

    target: PerZone = 22.0
    max_power: PerZone = 8000.0
    ac_map: PerZone = True
    reward_beta: float = 0.999
    reward_pnorm: float = 2.0
    time_res: int = 300
    ground_temp: Any = None
    U_Wall: tuple[float, ...] | None = None
    shgc: float = 0.252
    shgc_weight: float = 0.01
    ground_weight: float = 0.5
    full_occ: PerZone = 0.0
    activity_sch: float = 120.0

    def __post_init__(self) -> None:
        for name in self.names():  # arrays, as SustainGym has them, and tensors
            object.__setattr__(self, name, _plain(getattr(self, name)))
        relations: dict[str, tuple[str, Callable[[float], bool]]] = {
            "target": ("in °C between -60 and 60", lambda x: -60 <= x <= 60),
            "max_power": ("above 0 W", lambda x: x > 0),
            "full_occ": ("at least 0", lambda x: x >= 0),
            "activity_sch": ("at least 0 W", lambda x: x >= 0),
            "reward_beta": ("in [0, 1]", lambda x: 0 <= x <= 1),
            "shgc": ("in [0, 1]", lambda x: 0 <= x <= 1),
            "shgc_weight": ("at least 0", lambda x: x >= 0),
            "ground_weight": ("at least 0", lambda x: x >= 0),
        }
        for name, (relation, holds) in relations.items():
            self._take(name, relation, holds)
        if self.reward_pnorm != math.inf:
            self._take("reward_pnorm", "at least 1, or inf", lambda x: x >= 1)
        self._take("ac_map", "true or false", lambda x: x in (0, 1), convert=_flag)
        if not any(_listed(self.ac_map)):
            raise ValueError(
                f"ac_map={self.ac_map!r} leaves no zone with a heater: at least one must be true."
            )
        if (
            not isinstance(self.time_res, int)
            or self.time_res < 1
            or SECONDS_PER_DAY % self.time_res
        ):
            raise ValueError(
                f"time_res={self.time_res!r} must be an int of seconds that divides a day's "
                f"{SECONDS_PER_DAY}, such as 300."
            )
        if self.U_Wall is not None:
            _check_length("U_Wall", self.U_Wall, len(WALLS), f"one for each of {', '.join(WALLS)}")
            self._take("U_Wall", "above 0 W/(m² K)", lambda x: x > 0)
        self._take_ground()

    def _take(
        self,
        name: str,
        relation: str,
        holds: Callable[[float], bool],
        convert: Callable[[Any], Any] = float,
    ) -> None:
        """Check a number, or each of a list, and keep a list as a tuple, which can be hashed."""
        value = getattr(self, name)
        several = isinstance(value, Sequence) and not isinstance(value, str)
        if several and name not in (*PER_ZONE, "U_Wall"):
            raise ValueError(f"{name}={value!r} must be one number, {relation}.")
        for i, number in enumerate(_listed(value)):
            number = int(number) if isinstance(number, bool) and convert is _flag else number
            check_number(f"{name}[{i}]" if several else name, number, relation, holds)
        kept = tuple(map(convert, value)) if several else convert(value)
        object.__setattr__(self, name, kept)

    def _take_ground(self) -> None:
        """Twelve numbers as a tuple, and those of locations as pairs."""
        value = self.ground_temp
        if value is None:
            return
        if isinstance(value, Mapping):
            kept = tuple(
                (str(name), _monthly(f"ground_temp[{name!r}]", v)) for name, v in value.items()
            )
        elif _is_pairs(value):  # as it is kept here
            kept = tuple((name, _monthly(f"ground_temp[{name!r}]", v)) for name, v in value)
        else:
            kept = _monthly("ground_temp", value)
        object.__setattr__(self, "ground_temp", kept)

    @classmethod
    def names(cls) -> list[str]:
        """Of the fields."""
        return [field.name for field in fields(cls)]

    @property
    def day_length(self) -> int:
        """Steps in a day."""
        return SECONDS_PER_DAY // self.time_res

    @property
    def ground_for_all(self) -> bool:
        """Whether ``ground_temp`` is a list, of every location that SustainGym lacks."""
        return self.ground_temp is not None and not _is_pairs(self.ground_temp)

    def ground_of(self, location: str, known: Mapping[str, Sequence[float]]) -> Monthly | None:
        """°C of a location's ground by month, its own or those known; ``None`` if there are none.

        Args:
            location (str): the location.
            known (mapping): what SustainGym has.
        """
        if self.ground_for_all:
            return known.get(location, self.ground_temp)
        return dict(self.ground_temp or ()).get(location, known.get(location))

    def n_agents(self, n_zones: int) -> int:
        """Zones with a heater, of a building with so many."""
        return sum(self.ac_map) if isinstance(self.ac_map, tuple) else n_zones

    def for_zones(self, building: str, zones: Sequence[str]) -> None:
        """Refuses lists of another length than the building has zones.

        Args:
            building (str): its name or file, for the message.
            zones (sequence of str): names of its zones.

        Raises:
            ValueError: naming the field, its numbers, the building and its zones.
        """
        for name in PER_ZONE:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(zones):
                shown = ", ".join(zones[:10]) + (", …" if len(zones) > 10 else "")
                raise ValueError(
                    f"{name}={list(value)} has {len(value)} numbers, and building={building!r} has "
                    f"{len(zones)} zones: give one number for all, or one for each of {shown}, in "
                    "this order."
                )

    def reward_unit(self, n_agents: int) -> float:
        """How large a team's rewards are, beside those of SustainGym's office with six zones.

        The ratio of what both get in a step with every zone 2 °C off and every heater at full
        power: a reward of so many units says the same of each zone in every building.

        Args:
            n_agents (int): number of agents, ``n``.

        Examples:
            >>> BuildingParameters().reward_unit(6)
            1.0
            >>> round(BuildingParameters().reward_unit(118), 1)  # 118 ** 1.5 / 6 ** 1.5
            87.2
        """
        return _cost(n_agents, self.reward_beta, self.reward_pnorm) / _cost(6, 0.999, 2.0)


def _cost(n: int, beta: float, norm: float) -> float:
    """Of ``n`` agents with an error of 2 °C and full power each, in a step."""
    return n * n ** (1 / norm) * (2 * beta + 24 * (1 - beta))


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _flag(value: Any) -> bool:
    return bool(value)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _is_pairs(value: Any) -> bool:
    several = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    return several and all(isinstance(x, tuple) and isinstance(x[0], str) for x in value)


def _monthly(name: str, value: Any) -> Monthly:
    value = _plain(value)
    _check_length(name, value, MONTHS, "°C of each month, January first")
    for i, number in enumerate(value):
        check_number(f"{name}[{i}]", number, "in °C between -60 and 60", lambda x: -60 <= x <= 60)
    return tuple(map(float, value))


def _check_length(name: str, value: Any, n: int, what: str) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != n:
        raise ValueError(f"{name}={value!r} must be {n} numbers, {what}.")
