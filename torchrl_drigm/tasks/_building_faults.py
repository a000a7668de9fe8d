"""Faults of a building's thermometers and heaters, which a shift may bring.

They are transforms on the environment: thermometers in °C, below whatever scales observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchrl_drigm.envs.libs._building_checks import check_at_least, check_number

if TYPE_CHECKING:  # what a shift says is checked without PyTorch
    from torchrl.envs import Transform

__all__ = ["BuildingFaults"]

OWN_TEMPERATURE = [0]  # of the features that an agent observes


@dataclass(frozen=True)
class BuildingFaults:
    """What is wrong with thermometers and heaters; nothing by default.

    Each agent's thermometer and heater have their faults on their own. The state, which only
    training sees, is the true one.

    Args:
        temperature_noise (float): standard deviation of what the thermometer of an agent's own zone
            reads too high, drawn anew at every step, °C.
        temperature_bias (float): what it always reads too high, °C.
        dropped_readings (float): probability per step that a reading does not arrive, and the last
            one stands.
        delay (int): steps between the choice of a power and its effect; until then it is 0.
        stuck (float): probability per step that a heater stays at its last power.
        stuck_steps (int): for how many steps it then does.

    Raises:
        ValueError: naming the field, for a value out of range.
    """

    temperature_noise: float = 0.0
    temperature_bias: float = 0.0
    dropped_readings: float = 0.0
    delay: int = 0
    stuck: float = 0.0
    stuck_steps: int = 12

    def __post_init__(self) -> None:
        check_number("temperature_noise", self.temperature_noise, "at least 0", lambda x: x >= 0)
        check_number("temperature_bias", self.temperature_bias, "in °C", lambda x: True)
        for name in ("dropped_readings", "stuck"):
            check_number(name, getattr(self, name), "in [0, 1]", lambda x: 0 <= x <= 1)
        check_at_least("delay", self.delay, 0)
        check_at_least("stuck_steps", self.stuck_steps, 1)

    def transforms(self, idle: int, seeds: list[int]) -> list[Transform]:
        """What brings them, in the order of a chain that begins at the environment.

        A power is delayed on its way to the heater, and there it may get stuck.

        Args:
            idle (int): the level of power 0.
            seeds (list of int): of noise, of dropped readings and of stuck heaters.
        """
        from torchrl_drigm.envs.transforms import (
            ActionDelay,
            DroppedReading,
            ObservationNoise,
            StuckAction,
        )

        noise, dropped, stuck = seeds
        found: list[Transform] = []
        if self.stuck > 0:
            found.append(StuckAction(self.stuck, self.stuck_steps, seed=stuck))
        if self.delay > 0:
            found.append(ActionDelay(self.delay, idle))
        if self.temperature_noise > 0 or self.temperature_bias != 0:
            found.append(
                ObservationNoise(
                    OWN_TEMPERATURE,
                    std=self.temperature_noise,
                    mean=self.temperature_bias,
                    visible_only=False,
                    seed=noise,
                )
            )
        if self.dropped_readings > 0:
            found.append(DroppedReading(self.dropped_readings, OWN_TEMPERATURE, seed=dropped))
        return found
