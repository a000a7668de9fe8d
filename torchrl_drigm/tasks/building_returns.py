"""What the return of a day in a building is worth."""

from __future__ import annotations

from typing import Any

from torchrl_drigm.envs import BuildingParameters
from torchrl_drigm.envs.libs._building_file import ZONES

__all__ = ["RETURN_SCALES", "normalise_return"]

OFFICE = 9000.0  # of six zones (Eq. 33 of the paper)

#: By building, the scale ``s`` of the normalised return ``(R + s) / s`` of a day's return ``R``,
#: which is summed over the agents. OfficeSmall's is the paper's (Eq. 33), where 0 is what a team
#: gets that is 2.1 °C off in every zone, all day; in the others it is the same, so their scale
#: grows with the number of zones n as n ** 1.5.
RETURN_SCALES: dict[str, float] = {
    building: OFFICE * BuildingParameters().reward_unit(n) for building, n in ZONES.items()
}


def normalise_return(value: Any, building: str) -> Any:
    """Normalised return of a day: 1 is perfect, and below 0 is possible and common.

    Args:
        value: the team's return, summed over a day; a number or an array.
        building: one of :data:`RETURN_SCALES`. Of a building or a reward of your own it is
            :meth:`~torchrl_drigm.tasks.Task.normalise` of its task.

    Returns:
        As ``value``.

    Raises:
        ValueError: no normalisation of this building is known.

    Example:
        >>> normalise_return(-900.0, "OfficeSmall")
        0.9
    """
    if building not in RETURN_SCALES:
        raise ValueError(
            f"building={building!r} has no normalised return by its name, which is known for "
            f"{', '.join(RETURN_SCALES)}: use that of its task, "
            "BuildingTask(building=...).normalise(value)."
        )
    scale = RETURN_SCALES[building]
    return (value + scale) / scale
