"""VMAS with motors that do not do exactly what they are told."""

from __future__ import annotations

import math

from torchrl.envs import VmasEnv

__all__ = ["NoisyVmasEnv"]


class NoisyVmasEnv(VmasEnv):
    r"""TorchRL's ``VmasEnv`` with noise on the actuators of all agents.

    VMAS can add :math:`N(0, \sigma^2)` to each component of an agent's action, on top of what its
    action says (``Agent.u_noise``), but its scenarios do not let a user set it. Here
    :math:`\sigma` is ``severity * actuator_noise``, in units of the agent's action, which VMAS
    multiplies by the agent's ``u_multiplier`` first and by discrete actions takes from
    ``[-u_range, u_range]``.

    Args:
        scenario (str): one of VMAS's.
        actuator_noise (float): standard deviation of the noise. Default: 0, as ``VmasEnv``.
        severity (float): factor on it, the axis of a shift. Default: 1.
        **kwargs: of ``VmasEnv`` and of the scenario; ``num_envs`` is a must.

    Raises:
        ImportError: VMAS is not installed.
        ValueError: ``actuator_noise`` or ``severity`` is negative or not finite.

    Examples:
        >>> from torchrl_drigm.envs import NoisyVmasEnv
        >>> env = NoisyVmasEnv(
        ...     "balance", num_envs=2, n_agents=3, continuous_actions=False,
        ...     actuator_noise=0.2, severity=3.0, seed=0,
        ... )
        >>> [round(agent.u_noise, 3) for agent in env.agents]
        [0.6, 0.6, 0.6]
    """

    def __init__(
        self,
        scenario: str,
        *,
        num_envs: int,
        actuator_noise: float = 0.0,
        severity: float = 1.0,
        **kwargs,
    ) -> None:
        for name, value in {"actuator_noise": actuator_noise, "severity": severity}.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r} must be a finite number of at least 0.")
        super().__init__(scenario, num_envs=num_envs, **kwargs)
        for agent in self.agents:
            # where VMAS reads it, at every step
            agent.action._u_noise = severity * actuator_noise
