r"""Three small models in which robustness can be seen: harvest, machines and drones.

In each of them a rare bad branch depends on what the team does, precaution costs now and pays
later, and one number, the ``severity``, multiplies the probability of the bad branch. A team is
trained on ``severity=1`` and judged at others. Every mission starts in state 0.

Axes: ``M`` conditions of one member of the team, ``S = M * M`` states of the team of two.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.uncertainty._checks import is_finite_number

__all__ = ["drones", "harvest", "machines"]

# harvest
STEPS = 6
CAUGHT = 0.04  # by step and hasty agent
# machines
FAILS = (0.0, 0.02, 0.04, 0.08)  # by age
REPAIR = 3  # steps
FAILURE_COST = 18.0
# drones
CAPACITY = 6
GUST = 0.04
DOWN = 4  # steps


def harvest(severity: float = 1.0) -> DecPOMDP:
    r"""Two agents bring in a harvest quietly or hastily; who is caught loses all of it.

    Six steps. Each agent is quiet (action 0) and picks 1, or hasty (1) and picks 2, and each hasty
    agent is caught with probability ``0.04 * severity``, independently of the other. If one is, the
    mission is over, and all is lost: that state is terminal and worth 0. What both have picked is
    paid as the reward of a seventh step, whatever they do in it, which ends the mission. Discount
    0.99.

    States: ``(t, picked)`` for ``t`` from 0 to 6 and ``picked`` from ``2t`` to ``4t``, in this
    order, and the end, the last one. Both agents see the state.

    Args:
        severity (float): what the probability of being caught is multiplied by, in [0, 25].

    Raises:
        ValueError: for a severity out of range.

    Examples:
        >>> from torchrl_drigm.tabular import optimal_values, policy_evaluation
        >>> harvest()
        DecPOMDP(n_states=50, n_actions=(2, 2), gamma=0.99, n_terminal=1)
        >>> always_hasty = torch.ones(50, 2, dtype=torch.int64)
        >>> for severity in (1.0, 3.0):
        ...     _, v = policy_evaluation(harvest(severity), always_hasty)
        ...     best = optimal_values(harvest(severity))[1]
        ...     print(f"{severity}: {v[0]:.2f}, best {best[0]:.2f}")
        1.0: 13.84, best 13.84
        3.0: 4.87, best 11.30
    """
    caught = CAUGHT * _check(severity, 1 / CAUGHT)
    missions = [(t, x) for t in range(STEPS + 1) for x in range(2 * t, 4 * t + 1)]
    index = {mission: state for state, mission in enumerate(missions)}
    end = len(missions)
    kernel = torch.zeros(end + 1, 2, 2, end + 1, dtype=torch.float64)
    reward = torch.zeros(end + 1, 2, 2, dtype=torch.float64)
    kernel[end, ..., end] = 1.0
    for (t, picked), state in index.items():
        if t == STEPS:
            kernel[state, ..., end] = 1.0
            reward[state] = picked
            continue
        for first in range(2):
            for second in range(2):
                hasty = first + second
                goes_on = (1.0 - caught) ** hasty
                row = kernel[state, first, second]
                row[index[t + 1, picked + 2 + hasty]] = goes_on
                row[end] = 1.0 - goes_on
    return DecPOMDP(kernel, reward, 0.99, torch.arange(end + 1) == end)


def machines(severity: float = 1.0, *, cost_in_reward: bool = False) -> DecPOMDP:
    r"""Two machines that run until they break down, or are maintained before.

    A machine has an age of 0, 1, 2 or 3 steps, where 3 stays, or is broken with 3, 2 or 1 steps of
    repair left. Running (action 0), it fails with probability ``(0, 0.02, 0.04, 0.08)[age] *
    severity``, and is then broken with 3 steps left; otherwise it is one step older. Maintaining it
    (1) costs 0.5 and makes it new. A broken machine costs 5 in each of its three steps, whatever is
    done, and is new after the last one. A machine that runs yields 1, also in the step in which it
    fails, and there is 1 more where both run. Discount 0.9, no end.

    With ``cost_in_reward`` a failure is paid at once: the reward of the failing step is less by 18
    for each machine that fails, and a machine that failed is new in the next step. A backup
    :math:`r + \gamma\sigma(V')` sees nothing of that damage; :math:`\sigma(r + \gamma V')` does, of
    a set that is ``joint_with_reward``. The model has rewards by next state then.

    States: ``M * first + second``, the condition of a machine being its age, or 4, 5, 6 for 3, 2, 1
    steps of repair left (``M`` = 7, and 4 with ``cost_in_reward``). Both agents see the state.

    Args:
        severity (float): what the probability of a failure is multiplied by, in [0, 12.5].
        cost_in_reward (bool): whether a failure is paid in the reward of its own step.

    Raises:
        ValueError: for a severity out of range.

    Examples:
        >>> from torchrl_drigm.tabular import optimal_values
        >>> machines()
        DecPOMDP(n_states=49, n_actions=(2, 2), gamma=0.9, n_terminal=0)
        >>> [round(optimal_values(machines(severity))[1][0].item(), 2) for severity in (1.0, 3.0)]
        [17.41, 12.77]
    """
    severity = _check(severity, 1 / max(FAILS))
    ages = len(FAILS)
    conditions = ages if cost_in_reward else ages + REPAIR
    kernel = torch.zeros(conditions, 2, conditions, dtype=torch.float64)
    reward = torch.zeros(conditions, 2, dtype=torch.float64)
    for age, share in enumerate(FAILS):
        fails = share * severity
        kernel[age, 0, min(age + 1, ages - 1)] = 1.0 - fails
        kernel[age, 0, 0 if cost_in_reward else ages] = fails
    kernel[:ages, 1, 0] = 1.0
    reward[:ages, 1] = -0.5
    for condition in range(ages, conditions):
        kernel[condition, :, (condition + 1) % conditions] = 1.0
        reward[condition] = -5.0
    if cost_in_reward:
        reward = reward.unsqueeze(-1).repeat(1, 1, conditions)
        reward[:, 0, 0] = -FAILURE_COST  # what runs is new only after it failed
    return _team(kernel, reward, works=ages, gamma=0.9)


def drones(severity: float = 1.0) -> DecPOMDP:
    r"""Two drones on patrol that come down where a gust takes the last of their charge.

    A drone has a charge of 6 to 1, is charging, or is down with 4, 3, 2 or 1 steps left. On patrol
    (action 0) it uses 1, or 3 in a gust, which has probability ``0.04 * severity`` for each drone
    by itself; at 0 or below it is down for four steps, each of which costs 3. Charging (1) takes
    two steps and gives a charge of 6; in the second one there is nothing to choose, nor while it is
    down, after which the charge is 6. A drone on patrol yields 1, also in the step in which it
    comes down, and there is 1 more where both are. Discount 0.97, no end.

    States: ``11 * first + second``, the condition of a drone being 0 to 5 for a charge of 6 to 1, 6
    for charging, and 7 to 10 for 4 to 1 steps down. Both agents see the state.

    Args:
        severity (float): what the probability of a gust is multiplied by, in [0, 25].

    Raises:
        ValueError: for a severity out of range.

    Examples:
        >>> from torchrl_drigm.tabular import optimal_values
        >>> drones()
        DecPOMDP(n_states=121, n_actions=(2, 2), gamma=0.97, n_terminal=0)
        >>> [round(optimal_values(drones(severity))[1][0].item(), 2) for severity in (1.0, 3.0)]
        [62.31, 55.81]
    """
    gust = GUST * _check(severity, 1 / GUST)
    charging, down = CAPACITY, CAPACITY + 1
    conditions = down + DOWN
    kernel = torch.zeros(conditions, 2, conditions, dtype=torch.float64)
    reward = torch.zeros(conditions, 2, dtype=torch.float64)
    for condition in range(CAPACITY):
        charge = CAPACITY - condition
        for used, probability in ((1, 1.0 - gust), (3, gust)):
            left = charge - used
            kernel[condition, 0, CAPACITY - left if left > 0 else down] += probability
    kernel[:CAPACITY, 1, charging] = 1.0
    kernel[charging, :, 0] = 1.0
    for condition in range(down, conditions):
        kernel[condition, :, (condition + 1) % conditions] = 1.0
        reward[condition] = -3.0
    return _team(kernel, reward, works=CAPACITY, gamma=0.97)


def _team(kernel: Tensor, reward: Tensor, works: int, gamma: float) -> DecPOMDP:
    """Two equal members, ``[M, A, M']`` and ``[M, A]`` or ``[M, A, M']``, who move independently.

    In the first ``works`` conditions a member yields 1 by action 0, and both together 1 more.
    """
    n, (_, n_actions, _) = len(kernel), kernel.shape
    by_next_state = reward.ndim == 3
    reward = reward if by_next_state else reward.unsqueeze(-1)
    works_now = torch.zeros(n, n_actions, 1, dtype=torch.float64)
    works_now[:works, 0] = 1.0
    # the members' axes m, a, x (next) and n, b, y, as [m, n, a, b, x, y]
    first, second = ((slice(None), None) * 3, (None, slice(None)) * 3)
    alone = reward + works_now
    pay = alone[first] + alone[second] + works_now[first] * works_now[second]
    moves = kernel[first] * kernel[second]
    size = (n * n, n_actions, n_actions)
    pay = pay.reshape(*size, n * n) if by_next_state else pay.reshape(size)
    return DecPOMDP(moves.reshape(*size, n * n), pay, gamma)


def _check(severity: float, largest: float) -> float:
    if not is_finite_number(severity) or not 0.0 <= severity <= largest:
        raise ValueError(
            f"severity={severity!r} must be a number in [0, {largest:g}]: it multiplies "
            "probabilities, of which the largest is then 1. 1 is what teams are trained on."
        )
    return float(severity)
