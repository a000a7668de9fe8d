"""How near decentralised agents can come to the one-step oracle, by their own features alone.

    python benchmarks/own_features.py
    python benchmarks/own_features.py --levels 40 200 --rounds 2

The oracle knows the physics of the whole building and the next weather. Here each agent's power is
a *linear* function of its own features, fitted to the oracle's by least squares on what both visit
in Tucson (imitation with the learner's own states, DAgger), and judged there and in New York, where
nothing was fitted. What it reaches, a network of the agent's features can represent; what a trained
team lacks of it is learning, not information.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from tensordict import TensorDict
from torch import Tensor

from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.tasks import normalise_return, power_to_level

TUCSON, NEW_YORK = ("Hot_Dry", "Tucson"), ("Mixed_Humid", "NewYork")
STEPS = 288


def play(
    climate: tuple[str, str],
    n_levels: int,
    days: Tensor,
    act: Callable[[Tensor, Tensor], Tensor],
    seen: list[tuple[Tensor, Tensor]] | None = None,
) -> float:
    """Mean normalised return of a policy of features ``[B, n, F]`` and the oracle's power."""
    env = SustainGymEnv(climates=[climate], num_envs=len(days), n_action_levels=n_levels, seed=0)
    td, total = env.reset(TensorDict({"day": days}, [len(days)])), 0.0
    for _ in range(STEPS):
        features = td["agents", "observation"]
        missing = env.target - env.passive_temperature()
        power = torch.linalg.solve(env.action_effect, missing)
        if seen is not None:
            seen.append((with_constant(features), power.clamp(-1.0, 1.0)))
        td["agents", "action"] = power_to_level(act(features, power), n_levels)
        td = env.step(td)["next"]
        total = total + td["reward"].squeeze(-1)
    return normalise_return(total, env.building).mean().item()


def with_constant(features: Tensor) -> Tensor:
    return torch.nn.functional.pad(features, (0, 1), value=1.0)


def fit(seen: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Least squares of each agent's power, ``[n, F + 1]``."""
    features = torch.cat([features for features, _ in seen]).double().transpose(0, 1)
    power = torch.cat([power for _, power in seen]).double().t().unsqueeze(-1)
    return torch.linalg.lstsq(features, power).solution.squeeze(-1).float()


def oracle(_: Tensor, power: Tensor) -> Tensor:
    return power


def linear(weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda features, _: (with_constant(features) * weight).sum(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[40, 200], help="of the actions")
    parser.add_argument("--days", type=int, default=20, help="of days 0 to 199, evenly spread")
    parser.add_argument("--rounds", type=int, default=3, help="of fitting and playing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    days = torch.linspace(0, 199, args.days).long()
    print(f"{'levels':>6}  {'policy':24}  {'Tucson':>8}  {'New York':>8}")
    for n_levels in args.levels:
        seen: list[tuple[Tensor, Tensor]] = []
        for number in range(args.rounds + 1):
            if number:
                name, act = f"own features, round {number}", linear(fit(seen))
            else:
                name, act = "one-step oracle", oracle
            own = play(TUCSON, n_levels, days, act, seen)
            far = play(NEW_YORK, n_levels, days, act)
            print(f"{n_levels:6}  {name:24}  {own:8.4f}  {far:8.4f}", flush=True)


if __name__ == "__main__":
    main()
