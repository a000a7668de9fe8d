"""What a DRQN takes: options, windows, sequences and actions of the right shapes and types.

Axes: ``A`` agents, ``W`` window steps, ``T`` sequence steps, ``F`` observation features.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from torchrl_drigm.modules.models._checks import as_actions

__all__ = ["check_chosen", "check_options", "check_recurrent", "check_sequences", "check_windows"]


def check_options(core: str, cores: Collection[str], share_params: bool, agent_id: bool) -> None:
    """Refuse an unknown core, and an index of agents that nothing has in common.

    Raises:
        ValueError: naming the option.
    """
    if agent_id and not share_params:
        raise ValueError(
            "agent_id=True is for agents that share parameters: set share_params=True. Agents "
            "with parameters of their own need no index."
        )
    if core not in cores:
        raise ValueError(f"core must be one of {sorted(cores)}, received {core!r}.")


def check_windows(
    observation: Tensor, previous_action: Tensor, sizes: tuple[int, int], n_actions: int
) -> Tensor:
    """The previous actions of windows as int64, ``[*B, A, W]``.

    Args:
        observation (Tensor): ``[*B, A, W, F]``.
        previous_action (Tensor): integers ``[*B, A, W]``.
        sizes (tuple of int): the network's ``(A, F)``.
        n_actions (int): number of actions of each agent.

    Raises:
        ValueError: if a shape or type is not as above.
        IndexError: if an action is out of bounds.
    """
    shape = observation.shape
    if observation.ndim < 3 or (shape[-3], shape[-1]) != sizes:
        raise ValueError(
            f"DRQN: expected observation of shape [*B, n_agents={sizes[0]}, W, "
            f"observation_size={sizes[1]}], received {list(shape)}. Put a "
            "HistoryWindow transform on the environment to get windows."
        )
    return _previous_actions(observation, previous_action, n_actions)


def check_sequences(
    observation: Tensor, previous_action: Tensor, sizes: tuple[int, int], n_actions: int
) -> Tensor:
    """The previous actions of sequences as int64, ``[*B, T, A]``; ``n_actions`` stands for none.

    Args:
        observation (Tensor): ``[*B, T, A, F]``.
        previous_action (Tensor): integers ``[*B, T, A]``.
        sizes (tuple of int): the network's ``(A, F)``.
        n_actions (int): number of actions of each agent.

    Raises:
        ValueError: if a shape or type is not as above.
        IndexError: if an action is out of bounds.
    """
    if observation.ndim < 3 or tuple(observation.shape[-2:]) != sizes:
        raise ValueError(
            f"DRQN: expected observation of shape [*B, T, n_agents={sizes[0]}, "
            f"observation_size={sizes[1]}], received {list(observation.shape)}."
        )
    return _previous_actions(observation, previous_action, n_actions, none=True)


def check_chosen(observation: Tensor, action: Tensor, n_actions: int) -> Tensor:
    """Actions of windows ``[*B, A, W, F]`` as int64, ``[*B, A]``.

    Raises:
        ValueError: if the shape or type is not as above.
        IndexError: if an action is out of bounds.
    """
    if action.shape != observation.shape[:-2]:
        raise ValueError(
            f"DRQN: expected action of shape {list(observation.shape[:-2])}, received "
            f"{list(action.shape)}. Pass categorical actions, one of each agent."
        )
    return as_actions("DRQN: action", action, n_actions)


def check_recurrent(core: nn.Module) -> None:
    """Refuses to carry the state of a core that has none.

    Raises:
        ValueError: if the core has no state.
    """
    if not core.n_states:
        raise ValueError(
            "a DRQN with core='none' carries no state along a sequence: take core='lstm' or 'gru', "
            "or windows of one step."
        )


def _previous_actions(
    observation: Tensor, previous_action: Tensor, n_actions: int, none: bool = False
) -> Tensor:
    expected = list(observation.shape[:-1])
    if list(previous_action.shape) != expected:
        raise ValueError(
            f"DRQN: expected previous_action of shape {expected}, received "
            f"{list(previous_action.shape)}. Pass categorical actions, one per step."
        )
    return as_actions("DRQN: previous_action", previous_action, n_actions, none)
