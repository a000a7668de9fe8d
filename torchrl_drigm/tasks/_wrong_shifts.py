"""Values that a shift of a building or of a garage cannot have, found without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from torchrl_drigm._days import DAYS_PER_YEAR
from torchrl_drigm._garages import check_days, check_garages
from torchrl_drigm.envs.libs._building_checks import check_option
from torchrl_drigm.envs.libs._building_climates import check_climate
from torchrl_drigm.envs.libs._building_failures import HeaterFailures
from torchrl_drigm.envs.libs._building_parameters import BuildingParameters
from torchrl_drigm.envs.libs._building_physics import BuildingPhysics
from torchrl_drigm.envs.libs._building_weather import RandomWeather
from torchrl_drigm.tasks._building_faults import BuildingFaults
from torchrl_drigm.tasks._building_suites import BUILDING_SUITES
from torchrl_drigm.tasks._severities import times, wrong_severity
from torchrl_drigm.tasks.suites import Shift

__all__ = [
    "RANDOM",
    "fields_of",
    "garage_of",
    "random_in",
    "wrong_in_building",
    "wrong_in_garage",
]

#: What may be random in the nominal model of a building, by the word for it.
RANDOM = {"failures": HeaterFailures, "random_weather": RandomWeather}

Random = HeaterFailures | RandomWeather
Fields = TypeVar("Fields")

# SustainGym has them, which need not be asked
_SHIPPED = {tuple(shift["climate"]) for shift in BUILDING_SUITES["climate16"]}


def random_in(shift: Shift, nominal: Mapping[str, Random | None]) -> dict[str, Random]:
    """What is random in a shift, as arguments of the environment.

    Args:
        shift (dict): the shift.
        nominal (mapping): what is random in the nominal model, by the words of :data:`RANDOM`;
            ``None`` where nothing is.

    Raises:
        ValueError: naming the word and the field, for a value out of range.
    """
    options = {}
    for name, cls in RANDOM.items():
        if nominal[name] is None and name not in shift:
            continue
        own: dict[str, Any] = {} if nominal[name] is None else asdict(nominal[name])
        own |= shift.get(name, {})
        own["severity"] = times(own.get("severity", 1.0), shift)
        options[name] = check_option(name, cls, own)
    return options


def fields_of(cls: type[Fields], shift: Shift) -> Fields:
    """The fields of a dataclass as a shift has them, its defaults elsewhere."""
    return cls(**{field.name: shift[field.name] for field in fields(cls) if field.name in shift})


def wrong_in_building(
    shift: Shift, parameters: BuildingParameters, nominal: Mapping[str, Random | None]
) -> str | None:
    """What is wrong with the values of a shift; ``None`` if nothing is.

    Args:
        shift (dict): the shift.
        parameters (BuildingParameters): the task's, which may have the ground at a location.
        nominal (mapping): as :func:`random_in` takes it.

    Examples:
        >>> wrong_in_building({"days": (9, 3)}, BuildingParameters(), dict.fromkeys(RANDOM))
        'days=(9, 3) must be (lo, hi) with 0 <= lo < hi <= 365.'
    """
    climate, days = shift.get("climate", ("", "")), shift.get("days", (0, 1))
    if not _is_pair(climate, str):
        return f"climate={climate!r} must be (weather, location), names of SustainGym's or a file."
    if not _is_pair(days, int) or not 0 <= days[0] < days[1] <= DAYS_PER_YEAR:
        return f"days={days!r} must be (lo, hi) with 0 <= lo < hi <= {DAYS_PER_YEAR}."
    for name in RANDOM:
        if not isinstance(own := shift.get(name, {}), Mapping):
            return f"{name}={own!r} must be a mapping of fields, such as {{'severity': 2}}."
        if "observed" in own:
            return f"{name}: observed is what agents see, which cannot be shifted: leave it out."
    if "stuck_steps" in shift and "stuck" not in shift:
        return "stuck_steps says for how long heaters are stuck: give stuck, too."
    try:
        if "climate" in shift and tuple(climate) not in _SHIPPED:
            check_climate(*climate, parameters)
        if "severity" in shift and (wrong := wrong_severity(shift, random_in({}, nominal))):
            return wrong
        random_in(shift, nominal)
        fields_of(BuildingPhysics, shift)
        fields_of(BuildingFaults, shift)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def wrong_in_garage(shift: Shift, garages: Sequence[Sequence[str]], days: Any) -> str | None:
    """What is wrong with site, period and days of a shift; ``None`` if nothing is.

    Args:
        shift (dict): the shift.
        garages (sequence): (site, period) pairs of training.
        days (tuple, optional): range of days of training.

    Examples:
        >>> wrong_in_garage({"days": (0, 400)}, [("jpl", "Fall 2019")], None).partition(" with")[0]
        'days=(0, 400) must be a half-open range (lo, hi)'
    """
    garage = garage_of(shift, garages)
    try:
        check_garages([garage])
        if (days := shift.get("days", days)) is not None:
            check_days(days, [garage])
    except ValueError as error:
        return str(error)
    return None


def garage_of(shift: Shift, garages: Sequence[Sequence[str]]) -> tuple[str, str]:
    """That of a shift; what it does not say is as in the first one of training."""
    site, period = garages[0]
    return shift.get("site", site), shift.get("period", period)


def _is_pair(value: Any, kind: type) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(part, kind) for part in value)
    )
