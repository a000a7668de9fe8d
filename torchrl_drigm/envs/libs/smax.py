"""StarCraft-like battles in JAX (JaxMARL's SMAX), many at once; no game needed.

Axes: ``B`` battles (``num_envs``), ``n`` allies, one agent each, ``m`` enemies, ``A`` actions.
"""

import math

import torch

from torchrl_drigm.envs.libs._smax_programs import make_battle, require_smax
from torchrl_drigm.envs.libs._smax_wrapper import SMAXWrapper

__all__ = ["SMAXEnv", "SMAXWrapper"]


class SMAXEnv(SMAXWrapper):
    """Many battles of JaxMARL's ``HeuristicEnemySMAX``, made by the name of their map.

    The keys are those of :class:`SMAXWrapper`. Environments with equal arguments share what JAX
    compiled: the first steps of the first one take some ten seconds.

    Args:
        scenario: one of SMAX's maps; 3s_vs_5z has 3 allies and 5 enemies.
        num_envs: number of battles, ``B``.
        see_enemy_actions: observations tell the last actions of visible enemies, as in JaxMARL.
        walls_cause_death: a unit that touches the border dies, as in JaxMARL.
        attack_mode: whom the enemies attack, ``"closest"`` or ``"random"``.
        max_steps: step limit of a battle; see :class:`SMAXWrapper` on how JaxMARL counts.
        enemy_damage: factor on what a hit of an enemy costs an ally; 1 is JaxMARL's.
        enemy_health: factor on the hits that an enemy stands; 1 is JaxMARL's. Its health in
            observations, state and rewards stays a share of its whole.
        seed: seed of the battles; drawn from torch's generator if ``None``.
        device: where the tensors go.
        **kwargs: further arguments of JaxMARL's ``HeuristicEnemySMAX`` and ``SMAX``.

    Raises:
        ImportError: JaxMARL is not installed.
        ValueError: ``scenario`` or ``attack_mode`` is unknown, ``num_envs`` or ``max_steps`` is
            below 1, or a factor on the enemies is not positive.

    Example:
        >>> env = SMAXEnv("3s_vs_5z", num_envs=2, seed=0)
        >>> td = env.rollout(3)
        >>> td["agents", "action_mask"].shape, td["next", "info", "battle_won"].shape
        (torch.Size([2, 3, 3, 10]), torch.Size([2, 3, 1]))
    """

    def __init__(
        self,
        scenario: str = "3s_vs_5z",
        num_envs: int = 64,
        *,
        see_enemy_actions: bool = True,
        walls_cause_death: bool = True,
        attack_mode: str = "closest",
        max_steps: int = 100,
        enemy_damage: float = 1.0,
        enemy_health: float = 1.0,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
        **kwargs,
    ) -> None:
        require_smax("SMAXEnv")
        if attack_mode not in ("closest", "random"):
            raise ValueError(
                f"attack_mode={attack_mode!r} is unknown; valid names: closest, random."
            )
        if not isinstance(max_steps, int) or isinstance(max_steps, bool) or max_steps < 1:
            raise ValueError(f"max_steps={max_steps!r} must be an int of at least 1.")
        for name, factor in {"enemy_damage": enemy_damage, "enemy_health": enemy_health}.items():
            number = isinstance(factor, int | float) and not isinstance(factor, bool)
            if not number or not 0 < factor < math.inf:
                raise ValueError(f"{name}={factor!r} must be a finite number above 0.")
        kwargs.update(
            see_enemy_actions=see_enemy_actions,
            walls_cause_death=walls_cause_death,
            attack_mode=attack_mode,
            max_steps=max_steps,
            enemy_damage=float(enemy_damage),
            enemy_health=float(enemy_health),
        )
        try:
            env = make_battle(scenario, tuple(sorted(kwargs.items())))
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            env = make_battle.__wrapped__(scenario, tuple(kwargs.items()))  # arrays of units
        super().__init__(env, num_envs, seed=seed, device=device)
        self.scenario_name = scenario
        self.enemy_damage, self.enemy_health = enemy_damage, enemy_health
