"""A building other than SustainGym's: stronger heaters, thicker walls, a better cellar.

Axes: ``n`` zones, one heater each.
"""

from dataclasses import dataclass

import numpy as np

from torchrl_drigm.envs.libs._building_checks import check_number

__all__ = ["BuildingPhysics"]


@dataclass(frozen=True)
class BuildingPhysics:
    r"""Factors on the physical parameters of a building, before its model is discretised.

    A zone of SustainGym obeys

    .. math::
        C_i \dot T_i = \sum_j \frac{T_j - T_i}{r R_{ij}} + \frac{T_\text{out} - T_i}{r R_i}
            + g\, G_i (T_\text{ground} - T_i) + h\, P\, a_i + S_i\, \text{GHI}

    with heat capacities C (J/K), thermal resistances R (K/W), conductances to the ground G (W/K;
    ground floor only), the largest power P of a heater (8000 W) and the sun through the windows S
    (W). Its rooms are empty: the heat of the occupants is observed, and heats nothing.

    Args:
        heating_power (float): ``h``, a factor on what full power delivers, in heating and cooling.
            The price of an action stays: it is one of its share of the largest power.
        thermal_resistance (float): ``r``, a factor on the resistance of all that separates a zone
            from its neighbours and from outdoors: walls, floors, ceilings, roof and windows.
        ground_coupling (float): ``g``, a factor on the conductance of the ground floor.

    Raises:
        ValueError: naming the field, for what is no finite positive number.

    Examples:
        >>> BuildingPhysics(heating_power=0.4)
        BuildingPhysics(heating_power=0.4, thermal_resistance=1.0, ground_coupling=1.0)
    """

    heating_power: float = 1.0
    thermal_resistance: float = 1.0
    ground_coupling: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            check_number(name, factor, "a factor above 0", lambda x: x > 0)

    def scale(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The continuous model ``dT/dt = A T + B Y`` of SustainGym's parameters, with the factors.

        Args:
            a (array): ``[n, n]``, per s.
            b (array): ``[n, n + 3]``, for the inputs ground °C, outdoor °C, action ``[n]``, GHI.

        Examples:
            >>> a, b = np.array([[-3.0]]), np.array([[1.0, 2.0, 10.0, 0.5]])  # 3 = ground + outdoor
            >>> BuildingPhysics(2.0, thermal_resistance=4.0, ground_coupling=0.5).scale(a, b)
            (array([[-1.]]), array([[ 0.5,  0.5, 20. ,  0.5]]))
        """
        n = len(a)
        ground, outdoor, action, sun = np.split(b, [1, 2, 2 + n], axis=1)
        walls = a + np.diagflat(ground)  # what a zone loses, but for what it loses to the ground
        ground = self.ground_coupling * ground
        outdoor = outdoor / self.thermal_resistance
        a = walls / self.thermal_resistance - np.diagflat(ground)
        return a, np.hstack([ground, outdoor, self.heating_power * action, sun])
