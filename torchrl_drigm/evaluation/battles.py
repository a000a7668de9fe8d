"""Win rates of a team in StarCraft battles."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from torchrl_drigm.evaluation._playing import check_memory, evaluation_mode

__all__ = ["play_battles"]


def play_battles(
    policy: Callable[[TensorDictBase], TensorDictBase],
    env: EnvBase,
    episodes: int = 32,
    max_steps: int = 1000,
) -> pd.DataFrame:
    """Plays whole battles with a policy, and tells which were won.

    All copies of the environment play at once. The policy acts without gradients, in evaluation
    mode and with deterministic exploration; its modes are as before afterwards. A battle whose
    game was lost (``("info", "connection_lost")``) is played again: nobody won or lost it.

    Args:
        policy: writes the actions ``("agents", "action")``. What it needs on its environment must
            be there already: for recurrent agents
            :func:`torchrl.modules.utils.get_primers_from_module`.
        env: environment of batch size ``[B]`` with ``("info", "battle_won")`` ``[B, 1]``, such as
            :class:`~torchrl_drigm.envs.SMAXEnv`.
        episodes: number of battles; a multiple of ``B``.
        max_steps: steps after which every battle must have ended.

    Returns:
        One row per battle, with the columns ``episode``, ``won``, ``return`` and ``steps``.

    Raises:
        ValueError: ``episodes`` is no positive multiple of ``B``, a battle has not ended, or the
            environment does not carry a recurrent policy's state.

    Example:
        >>> from torchrl_drigm.envs import SMAXEnv
        >>> env = SMAXEnv("3s_vs_5z", num_envs=2, seed=0)
        >>> battles = play_battles(env.rand_action, env, episodes=2)
        >>> battles["won"].tolist()
        [False, False]
    """
    n_copies = env.batch_size.numel()
    if episodes < 1 or episodes % n_copies:
        raise ValueError(
            f"episodes={episodes} must be a positive multiple of the environment's {n_copies} "
            "copies, all of which play to the end."
        )
    rows = []
    with evaluation_mode(policy):
        for _ in range(episodes // n_copies):
            rows += _play_once(policy, env, max_steps)
    return pd.DataFrame({"episode": range(episodes)}).join(pd.DataFrame(rows))


def _play_once(
    policy: Callable[[TensorDictBase], TensorDictBase], env: EnvBase, max_steps: int
) -> list[dict[str, bool | float | int]]:
    """The first whole battle of every copy. Copies start over, and what follows is ignored."""
    tensordict = env.reset()
    check_memory(policy, tensordict)
    going = torch.ones(env.batch_size, dtype=torch.bool)
    won = torch.zeros_like(going)
    steps = torch.zeros(env.batch_size, dtype=torch.int64)
    returns = torch.zeros(env.batch_size)
    for _ in range(max_steps):
        stepped, tensordict = env.step_and_maybe_reset(policy(tensordict))
        step = stepped["next"].cpu()
        steps += going
        returns += torch.where(going, step["reward"].squeeze(-1), 0.0)
        done = step["done"].squeeze(-1)
        lost = step.get(("info", "connection_lost"), None)
        if lost is not None:
            lost = lost.squeeze(-1) & going
            steps[lost], returns[lost] = 0, 0.0
            done = done & ~lost
        won |= going & done & step["info", "battle_won"].squeeze(-1)
        going &= ~done
        if not going.any():
            break
    else:
        raise ValueError(
            f"{going.sum()} of {going.numel()} battles have not ended after max_steps={max_steps}."
        )
    columns = (won.flatten(), returns.flatten(), steps.flatten())
    return [
        {"won": w, "return": r, "steps": s}
        for w, r, s in zip(*(column.tolist() for column in columns), strict=True)
    ]
