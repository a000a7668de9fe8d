"""Evaluation of a policy over the shifts of a suite.

Axes: ``S`` shifts, ``E`` episodes of each, ``B = S * E`` copies of the environment, shift-major.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import Compose, EnvBase, RewardSum, Transform, TransformedEnv
from tqdm import tqdm

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.evaluation._playing import check_memory, evaluation_mode
from torchrl_drigm.evaluation.suites import Shift, Suite, get_suite

__all__ = ["evaluate"]

_ACTION = ("agents", "action")
_RETURN = "evaluation_return"


def evaluate(
    policy: Callable[[TensorDictBase], TensorDictBase],
    suite: str | Suite = "climate",
    episodes: int = 50,
    seed: int = 11,
    *,
    transform: Transform | None = None,
    env_kwargs: dict[str, Any] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Plays a policy on every shift of a suite, all episodes at once.

    The policy acts without gradients, in evaluation mode and with deterministic exploration;
    its modes are as before afterwards. The days are drawn without replacement while there are
    enough, from ``seed`` alone: shifts over the same range of days share them, so differences
    between shifts, and between policies, are paired. Torch's global generator is not used.

    Args:
        policy: a ``TensorDictModule``, or any callable from tensordict to tensordict, that
            writes the levels ``("agents", "action")`` int64 ``[B, n_agents]``. One with a method
            ``bind(env)`` is given the :class:`~torchrl_drigm.envs.SustainGymEnv` first, without
            its transforms (see :class:`~torchrl_drigm.evaluation.ReferencePolicy`).
        suite: the name of a suite, or a suite.
        episodes: number of episodes (days) per shift.
        seed: seed of the days.
        transform: what the policy needs on its environment, such as
            :class:`~torchrl_drigm.envs.transforms.HistoryWindow`. A clone of it is used. Returns
            are those of the environment below it: scaled rewards do not change them.
        env_kwargs: more arguments of ``SustainGymEnv``, such as ``building`` or ``device``.
        progress: show a progress bar.

    Returns:
        One row per shift and episode, with the columns ``suite``, ``shift``, ``climate``,
        ``location``, ``episode``, ``day``, ``return`` (the team's reward summed over the day)
        and ``normalized_return`` (for ``"climate"``, the paper's Eq. 33).

    Raises:
        ValueError: ``episodes`` is below 1, the suite is unknown, the policy writes no action or
            not one of the environment's, or returns are not finite.

    Example:
        >>> from torchrl_drigm.evaluation import ProportionalControl
        >>> results = evaluate(ProportionalControl(), "climate", episodes=2)
        >>> results[["shift", "location", "episode"]].head(3)
           shift location  episode
        0  env_1   Tucson        0
        1  env_1   Tucson        1
        2  env_2    Tampa        0
        >>> bool((results["normalized_return"] > 0.5).all())
        True
    """
    if episodes < 1:
        raise ValueError(f"episodes={episodes} must be at least 1.")
    if not isinstance(suite, Suite):
        suite = get_suite(suite)
    shifts = suite.shifts
    climates = list(dict.fromkeys(shift.climate for shift in shifts))
    days = torch.stack([_draw_days(shift, episodes, seed) for shift in shifts])  # [S, E]
    climate = torch.tensor([climates.index(shift.climate) for shift in shifts])  # [S]

    base_env = SustainGymEnv(
        "building", climates=climates, num_envs=days.numel(), seed=seed, **(env_kwargs or {})
    )
    # RewardSum comes before the caller's transform, which may change the reward.
    transforms = [RewardSum(in_keys=["reward"], out_keys=[_RETURN])]
    if transform is not None:
        # one flat list: a Compose in a Compose cannot tell its first transform its parent
        transform = transform.clone()
        transforms += transform if isinstance(transform, Compose) else [transform]
    env = TransformedEnv(base_env, Compose(*transforms))
    if hasattr(policy, "bind"):
        policy.bind(base_env)
    with evaluation_mode(policy):
        start = env.reset(day=days.flatten(), climate=climate.repeat_interleave(episodes))
        check_memory(policy, start)
        returns = _play(env, policy, start, progress)

    results = pd.DataFrame(
        {
            "suite": suite.name,
            "shift": [shift.name for shift in shifts for _ in range(episodes)],
            "climate": [shift.climate[0] for shift in shifts for _ in range(episodes)],
            "location": [shift.climate[1] for shift in shifts for _ in range(episodes)],
            "episode": list(range(episodes)) * len(shifts),
            "day": days.flatten().numpy(),
            "return": returns.double().cpu().numpy(),
        }
    )
    results["normalized_return"] = suite.normalise(results["return"])
    bad = results[~torch.isfinite(returns).cpu().numpy()]
    if len(bad):
        first = bad.iloc[0]
        raise ValueError(
            f"{len(bad)} of {len(results)} returns are not finite, the first on {first['shift']}, "
            f"day {first['day']}: check the physics given by env_kwargs."
        )
    return results


def _draw_days(shift: Shift, episodes: int, seed: int) -> Tensor:
    """``[E]`` int64; the same for every shift with the same range of days."""
    generator = torch.Generator().manual_seed(seed)
    low, high = shift.days
    if episodes <= high - low:
        return low + torch.randperm(high - low, generator=generator)[:episodes]
    return torch.randint(low, high, (episodes,), generator=generator)


def _play(
    env: EnvBase,
    policy: Callable[[TensorDictBase], TensorDictBase],
    tensordict: TensorDictBase,
    progress: bool,
) -> Tensor:
    """Returns ``[B]`` of one episode in every copy. All last a day, so all end together."""
    spec = env.full_action_spec[_ACTION]
    with tqdm(desc="evaluation", unit="step", disable=not progress) as bar:
        while not tensordict["done"].all():
            acted = policy(tensordict)
            action = None if acted is None else acted.get(_ACTION, None)
            if action is None:
                raise ValueError(
                    f"The policy wrote no {_ACTION!r}. It must return the tensordict that it is "
                    "given, with that entry added."
                )
            if action.shape != spec.shape or not spec.is_in(action):
                raise ValueError(
                    f"The policy's {_ACTION!r} must be int64 levels in [0, {spec.n}) of shape "
                    f"{list(spec.shape)}; received {action.dtype} of shape {list(action.shape)} "
                    f"between {action.min().item()} and {action.max().item()}."
                )
            tensordict = env.step_mdp(env.step(acted))
            bar.update()
    return tensordict[_RETURN].squeeze(-1)
