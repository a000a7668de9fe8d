"""Specs of a building environment.

Axes: ``B`` copies of the environment, ``n`` zones, one agent each, ``F`` features, ``S`` of state.
"""

import torch
from torchrl.data import Categorical, Composite, Unbounded

__all__ = ["building_specs"]


def building_specs(
    num_envs: int,
    n_agents: int,
    n_features: int,
    n_state: int,
    n_levels: int,
    device: torch.device | None,
) -> dict[str, Composite | Unbounded]:
    """The specs of ``B = num_envs`` copies, by the attribute of the environment that holds each."""
    batch, agents = (num_envs,), (num_envs, n_agents)

    def flag() -> Categorical:
        return Categorical(2, shape=(*batch, 1), dtype=torch.bool, device=device)

    action = Categorical(n_levels, shape=agents, dtype=torch.int64, device=device)
    return {
        "observation_spec": Composite(
            agents=Composite(
                observation=Unbounded((*agents, n_features), device=device),
                shape=agents,
                device=device,
            ),
            state=Unbounded((*batch, n_state), device=device),
            shape=batch,
            device=device,
        ),
        "action_spec": Composite(
            agents=Composite(action=action, shape=agents, device=device),
            shape=batch,
            device=device,
        ),
        "reward_spec": Unbounded((*batch, 1), device=device),
        "done_spec": Composite(
            done=flag(), terminated=flag(), truncated=flag(), shape=batch, device=device
        ),
    }
