"""What stands in place of a recurrent core for agents that see a single step.

Axes: ``A`` agents, ``N`` flattened batch, ``H`` hidden units.
"""

from __future__ import annotations

from torch import Tensor

from torchrl_drigm.modules.models._agent_linear import AgentLinear

__all__ = ["FeedForward"]


class FeedForward(AgentLinear):
    """A linear layer per agent, as PyMARL's agents without a recurrent cell have.

    With windows of one step from a zero state, half of a recurrent cell has no effect: the weights
    of the state are never used, and gates find nothing to keep.
    """

    n_states = 0

    def final_state(self, x: Tensor) -> tuple[Tensor]:
        """``[N, 1, A, H] -> [N, A, H]``.

        Raises:
            ValueError: if there is more than one step.
        """
        if x.shape[1] != 1:
            raise ValueError(
                f"core='none' remembers nothing, and got windows of {x.shape[1]} steps: take "
                "windows of one step, or core='lstm' or 'gru'."
            )
        return (self(x.squeeze(1).transpose(0, 1)).transpose(0, 1),)
