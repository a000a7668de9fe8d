"""Heaters that fail, and then are out of order for a while: what SustainGym's buildings lack.

Axes: ``B`` copies of the environment, ``n`` zones, one heater each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchrl_drigm.envs.libs._building_checks import check_at_least, check_number

if TYPE_CHECKING:  # what a shift says is checked without PyTorch
    from torch import Tensor

__all__ = ["HeaterFailures"]


@dataclass(frozen=True)
class HeaterFailures:
    r"""How a building's heaters fail: rarely, only above their rated power, and for a fixed time.

    After each step a heater that worked at the power :math:`a` fails with the probability

    .. math::
        p(a) = \text{severity} \cdot \text{rate}
            \cdot \Big(\frac{(|a| - \text{rated})_+}{1 - \text{rated}}\Big)^{\text{exponent}},

    each heater on its own. It is then out of order for ``steps`` steps: whatever its agent does has
    no effect and costs nothing. So a failure's damage lies in what follows, in the temperature of
    the zone, and agents that work hard risk it. The time to repair is fixed: were the repair a coin
    toss at every step, the worst case would be that nothing is ever repaired.

    Args:
        rate (float): probability of a failure per step at full power, in [0, 1].
        rated_power (float): ``rated``, the share of the maximal power that is without risk, in
            [0, 1).
        exponent (float): how fast the risk grows above it; positive.
        steps (int): steps, of five minutes by default, that a heater is out of order.
        severity (float): factor on the probability, the axis of a shift; 1 is nominal.
        observed (bool): append to each agent's observation, and for all agents to the state, how
            much of the ``steps`` its own heater is still out of order, in [0, 1]. Without it
            observations have SustainGym's shape, agents learn of a failure from the temperature
            alone, and the state is no Markov state: the failure is not in the value of the next
            one, where an uncertainty set would look for it.

    Raises:
        ValueError: naming the field, for a value out of range, or if ``severity * rate`` is no
            probability.

    Example:
        >>> import torch
        >>> failures = HeaterFailures(rate=0.1, rated_power=0.2, severity=3.0)
        >>> failures.probability(torch.tensor([-1.0, -0.2, 0.0, 0.6]))
        tensor([0.3000, 0.0000, 0.0000, 0.1500])
    """

    rate: float = 0.1
    rated_power: float = 0.1
    exponent: float = 1.0
    steps: int = 72
    severity: float = 1.0
    observed: bool = False

    def __post_init__(self) -> None:
        check_number("rate", self.rate, "in [0, 1]", lambda x: 0 <= x <= 1)
        check_number("rated_power", self.rated_power, "in [0, 1)", lambda x: 0 <= x < 1)
        check_number("exponent", self.exponent, "positive", lambda x: x > 0)
        check_number("severity", self.severity, "at least 0", lambda x: x >= 0)
        check_at_least("steps", self.steps, 1)
        if not isinstance(self.observed, bool):
            raise ValueError(f"observed={self.observed!r} must be true or false.")
        if self.severity * self.rate > 1:
            raise ValueError(
                f"severity={self.severity} times rate={self.rate} is {self.severity * self.rate}, "
                "which is no probability: lower one of them."
            )

    def probability(self, power: Tensor) -> Tensor:
        """Of a failure after a step at that power, any shape, in [-1, 1]."""
        import torch.nn.functional as F

        # a level of the action grid at the rated power may be off by a rounding, which is no risk
        excess = F.threshold(power.abs() - self.rated_power, 1e-6, 0.0) / (1 - self.rated_power)
        return self.severity * self.rate * excess**self.exponent

    def next_steps_left(self, steps_left: Tensor, power: Tensor, uniform: Tensor) -> Tensor:
        """Steps that each heater stays out of order after a step.

        Args:
            steps_left (Tensor): ``[B, n]`` int64 before the step; 0 where the heater works.
            power (Tensor): ``[B, n]``, what the heaters did; 0 where out of order.
            uniform (Tensor): ``[B, n]``, random numbers in [0, 1).
        """
        import torch

        # no heater fails at power 0, so none does that is out of order
        failed = uniform < self.probability(power)
        return torch.where(failed, self.steps, (steps_left - 1).clamp(min=0))
