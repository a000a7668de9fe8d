"""A team judged without episodes: its exact return in a model that is known.

Axes: ``S`` states, ``J`` joint actions, ``N`` agents, ``O`` observations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from tensordict import TensorDictBase
from tensordict.utils import unravel_key
from torch import Tensor, nn

from torchrl_drigm.envs.transforms import HistoryWindow
from torchrl_drigm.tabular import DecPOMDP
from torchrl_drigm.tabular.sampling import look
from torchrl_drigm.tasks.playing import ACTION, evaluation_mode

__all__ = ["exact_return"]


def exact_return(
    team: Callable[[TensorDictBase], TensorDictBase], model: DecPOMDP, *, start: int = 0
) -> float:
    r"""Value of a team's greedy policy at the start of a model, by one linear solve.

    The team is asked what it does in every state, after every joint action that may have led
    there, and the chain of the two is solved for :math:`\mathbb E\left[\sum_t \gamma^t
    r_t\right]`. So there is no sampling noise, and no end but the model's own.

    Args:
        team: what :func:`~torchrl_drigm.evaluation.evaluate` takes. It may look at the state, at
            its observations and at the last actions, which is what agents on windows of one step
            do (``agent=drqn agent.window=1``).
        model (DecPOMDP): what to judge it in, such as ``task.model(3.0)`` of a
            :class:`~torchrl_drigm.tasks.ToyTask`. ``S * J`` equations are solved.
        start (int): the state that missions start in, with windows that hold action 0 before it.

    Raises:
        ValueError: if the team remembers more, or writes no joint action of the model's.

    Examples:
        >>> from torchrl_drigm.tabular import harvest
        >>> def hasty(tensordict):
        ...     action = torch.ones(*tensordict.shape, 2, dtype=torch.int64)
        ...     return tensordict.set(("agents", "action"), action)
        >>> [round(exact_return(hasty, harvest(severity)), 2) for severity in (1.0, 3.0)]
        [13.84, 4.87]
    """
    _check_memory(team)
    n_states, n_actions = model.n_states, model.n_actions
    n_joint = math.prod(n_actions)
    # every state after every joint action, state-major: [S * J]
    state = torch.arange(n_states).repeat_interleave(n_joint)
    joint = torch.arange(n_joint).repeat(n_states)
    before = torch.stack(torch.unravel_index(joint, n_actions), -1)  # [S * J, N]
    seen = look(model, state)
    observation = seen["agents", "observation"].unsqueeze(-2)  # [S * J, N, 1, O]
    seen["agents", "history"] = {"observation": observation, "action": before.unsqueeze(-1)}
    parameters = list(team.parameters()) if isinstance(team, nn.Module) else []
    with evaluation_mode(team):
        acted = team(seen.to(parameters[0].device) if parameters else seen)
    action = _check(acted, model, before.shape).cpu()
    where = (state, *action.unbind(-1))
    now = torch.zeros_like(joint)
    for n, chosen in zip(n_actions, action.unbind(-1), strict=True):
        now = now * n + chosen
    transition = torch.zeros(len(state), n_states, n_joint, dtype=torch.float64)
    transition[torch.arange(len(state)), :, now] = model.kernel[where]
    system = torch.eye(len(state), dtype=torch.float64) - model.gamma * transition.flatten(1)
    value = torch.linalg.solve(system, model.reward[where])
    return value[start * n_joint].item()


def _check_memory(team: object) -> None:
    """Refuses a team whose choice depends on more than the state and the last action."""
    windows = team.memory() if hasattr(team, "memory") else []
    longer = any(not isinstance(t, HistoryWindow) or t.window > 1 for t in windows)
    for module in team.modules() if isinstance(team, nn.Module) else ():
        written = {unravel_key(key) for key in getattr(module, "out_keys", ())}
        read = map(unravel_key, getattr(module, "in_keys", ()))
        longer = longer or any(unravel_key(("next", key)) in written for key in read)
    if longer:
        raise ValueError(
            "the team remembers more than the last action, so that its return is not that of a "
            "policy of states: train it with agent=drqn agent.window=1, or judge it by episodes, "
            "evaluate(team)."
        )


def _check(acted: TensorDictBase | None, model: DecPOMDP, shape: torch.Size) -> Tensor:
    action = None if acted is None else acted.get(ACTION, None)
    limits = torch.tensor(model.n_actions)
    if action is None or action.shape != shape or ((action < 0) | (action.cpu() >= limits)).any():
        got = "none" if action is None else f"{list(action.shape)} up to {action.max().item()}"
        raise ValueError(
            f"the team must write {ACTION!r}, {list(shape)} with each agent's action below "
            f"{list(model.n_actions)}, got {got}: give the model that it was trained in."
        )
    return action
