"""ε-greedy exploration: of each agent by itself, or of the whole team at once."""

from __future__ import annotations

from omegaconf import DictConfig
from tensordict import TensorDict, TensorDictBase
from torch import nn
from torchrl.envs import EnvBase
from torchrl.modules import EGreedyModule

from torchrl_drigm.trainers._checks import check_choice
from torchrl_drigm.trainers.sizes import ACTION, ACTION_MASK

__all__ = ["TeamEGreedy", "make_exploration"]


class TeamEGreedy(EGreedyModule):
    """:class:`torchrl.modules.EGreedyModule` in which one draw decides for all agents of a team.

    Either all of them act at random, or none does. With one draw per agent, as TorchRL has it, a
    team of six in which each explores with probability 0.1 acts greedily as a whole in half of all
    steps; here in nine of ten.

    Args:
        spec (TensorSpec): of the actions ``[*B, n_agents]``.
        **kwargs: those of :class:`torchrl.modules.EGreedyModule`.

    Examples:
        >>> import torch
        >>> from torchrl.data import Categorical, Composite
        >>> shape = (1000, 3)
        >>> agents = Composite(action=Categorical(9, shape=shape), shape=shape)
        >>> spec = Composite(agents=agents, shape=shape[:1])
        >>> explore = TeamEGreedy(spec, eps_init=0.5, action_key=("agents", "action"))
        >>> agents = TensorDict({"action": torch.full(shape, -1)}, shape)
        >>> action = explore(TensorDict({"agents": agents}, [1000]))["agents", "action"]
        >>> (action == -1).sum(-1).unique()  # agents of a team that act greedily
        tensor([0, 3])
    """

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the actions ``[*B, n_agents]``."""
        # TorchRL draws once for each element of the entry that holds the actions: here there are
        # no agents among its dimensions
        own = TensorDict({}, tensordict.shape)
        for key in self.in_keys:
            own.set(key, tensordict.get(key))
        return tensordict.set(self.action_key, super().forward(own).get(self.action_key))


EXPLORATION = {"agent": EGreedyModule, "team": TeamEGreedy}


def make_exploration(cfg: DictConfig, env: EnvBase, agents: nn.Module) -> EGreedyModule:
    """What puts random actions in the place of greedy ones (``exploration``).

    Args:
        cfg (DictConfig): the composed config.
        env (EnvBase): training environment.
        agents (nn.Module): Q-networks of :func:`~torchrl_drigm.trainers.make_agents`.

    Raises:
        ValueError: if ``exploration.per`` is neither ``agent`` nor ``team``.
    """
    per = check_choice("exploration.per", cfg.exploration.get("per", "agent"), EXPLORATION)
    return EXPLORATION[per](
        env.action_spec,
        eps_init=float(cfg.exploration.eps_init),
        eps_end=float(cfg.exploration.eps_end),
        action_key=ACTION,
        action_mask_key=ACTION_MASK if ACTION_MASK in agents.in_keys else None,
        device=cfg.device,
    )
