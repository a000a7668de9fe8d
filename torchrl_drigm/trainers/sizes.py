"""What the sizes of a team's networks follow from."""

from __future__ import annotations

from dataclasses import dataclass

from torchrl.envs import EnvBase

__all__ = ["Sizes"]

ACTION = ("agents", "action")
ACTION_MASK = ("agents", "action_mask")
OBSERVATION = ("agents", "observation")


@dataclass(frozen=True)
class Sizes:
    """Sizes of an environment, as networks see it.

    Attributes:
        n_agents (int): number of agents.
        n_actions (int): number of actions of each.
        observation_size (int): features of an agent's observation.
        state_size (int): features of the state.
        has_mask (bool): whether the environment says which actions are available.
    """

    n_agents: int
    n_actions: int
    observation_size: int
    state_size: int
    has_mask: bool

    @classmethod
    def of(cls, env: EnvBase | Sizes) -> Sizes:
        """Those of an environment; sizes are what they are."""
        if isinstance(env, Sizes):
            return env
        n_agents, observation_size = env.observation_spec[OBSERVATION].shape[-2:]
        return cls(
            n_agents=n_agents,
            n_actions=env.action_spec_unbatched[ACTION].space.n,
            observation_size=observation_size,
            state_size=env.observation_spec["state"].shape[-1],
            has_mask=ACTION_MASK in env.observation_spec.keys(True, True),
        )
