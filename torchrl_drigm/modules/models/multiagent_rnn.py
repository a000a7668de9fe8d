"""Recurrent cores for multi-agent networks, one per agent or one for all.

Axes: ``A`` agents, ``T`` time, ``N`` flattened batch, ``F`` input features, ``H`` hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchrl_drigm.modules._kernels.basic import add_product, tanh
from torchrl_drigm.modules._kernels.gru import gru_recurrence
from torchrl_drigm.modules._kernels.lstm import lstm_recurrence
from torchrl_drigm.modules.models._multiagent_rnn import MultiAgentRNN, State

__all__ = ["MultiAgentGRU", "MultiAgentLSTM"]


class MultiAgentLSTM(MultiAgentRNN):
    r"""One LSTM layer per agent, computed for all agents at once.

    Agent by agent it is :class:`torch.nn.LSTM` with the same gate order (input, forget, cell,
    output) and the same initialisation. It is the recurrent core of the robust individual
    Q-networks (paper, Section 4 and Appendix F.2).

    Args:
        input_size (int): number of input features ``F``.
        hidden_size (int): number of hidden units ``H``.
        n_agents (int): number of agents.
        share_params (bool): one set of parameters for all agents. Default: ``False``.
        device (torch.device, optional): where the parameters live.
        dtype (torch.dtype, optional): their type.

    Parameters are ``weight_ih [n_agents, 4H, F]``, ``weight_hh [n_agents, 4H, H]``,
    ``bias_ih [n_agents, 4H]`` and ``bias_hh [n_agents, 4H]``; without the agent dimension where
    they are shared.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import MultiAgentLSTM
        >>> lstm = MultiAgentLSTM(input_size=5, hidden_size=16, n_agents=3)
        >>> output = lstm(torch.randn(64, 8, 3, 5))
        >>> output.shape
        torch.Size([64, 8, 3, 16])
        >>> output, (h, c) = lstm.unroll(torch.randn(64, 8, 3, 5))
        >>> torch.equal(h, output[:, -1])
        True
    """

    n_gates = 4
    n_states = 2

    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
        is_init: Tensor | None = None,
    ) -> Tensor:
        """Runs over a sequence; see :meth:`unroll`, of which this is the first result.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.
            hx (tuple of Tensor, optional): as there.
            is_init (Tensor, optional): as there.

        Returns:
            Tensor: hidden states ``[*B, T, n_agents, H]``.
        """
        return self.unroll(input, hx, is_init)[0]

    def unroll(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
        is_init: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Runs over a sequence and returns the final state too.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.
            hx (tuple of Tensor, optional): initial ``(h, c)``, each ``[*B, n_agents, H]``; or
                ``(h, c)`` before every step, ``[*B, T, n_agents, H]``. Default: zeros.
            is_init (Tensor, optional): flags ``[*B, T]`` or ``[*B, T, 1]``. Where one is set,
                nothing is carried over: that step starts from zeros, or from its own ``hx`` where
                there is one of every step.

        Returns:
            tuple: hidden states ``[*B, T, n_agents, H]`` and the final ``(h, c)``, each
            ``[*B, n_agents, H]``.

        Raises:
            ValueError: if a shape is not as above.
        """
        (output,), state = self._unroll(input, hx, is_init)
        return output, state

    def _input_bias(self) -> Tensor:
        # both biases enter every gate as a plain sum, so that the loop need not add the second
        return (self.bias_ih + self.bias_hh).unsqueeze(-2)

    def _cell(self, projected: Tensor, state: State | None, weight: Tensor) -> State:
        gates = projected if state is None else add_product(projected, state[0], weight)
        i, f, g, o = gates.chunk(4, -1)
        c = i.sigmoid() * tanh(g)
        if state is not None:
            c = torch.addcmul(c, f.sigmoid(), state[1])
        return o.sigmoid() * tanh(c), c

    def _recurrence(
        self,
        x: Tensor,
        state: State | None,
        keep: Tensor | None,
        starts: State | None,
        n_sequences: int,
    ) -> tuple[Sequence[Tensor], State]:
        weight_ih, weight_hh, bias_ih, bias_hh = self._per_network()
        h, c = (None, None) if state is None else state
        bias = bias_ih + bias_hh
        return lstm_recurrence(x, weight_ih, weight_hh, bias, h, c, keep, n_sequences, starts)


class MultiAgentGRU(MultiAgentRNN):
    r"""One GRU layer per agent, computed for all agents at once.

    Agent by agent it is :class:`torch.nn.GRU` with the same gate order (reset, update, new) and
    the same initialisation; as there, the reset gate multiplies ``W_hn h + b_hn``.

    Args:
        input_size (int): number of input features ``F``.
        hidden_size (int): number of hidden units ``H``.
        n_agents (int): number of agents.
        share_params (bool): one set of parameters for all agents. Default: ``False``.
        device (torch.device, optional): where the parameters live.
        dtype (torch.dtype, optional): their type.

    Parameters are ``weight_ih [n_agents, 3H, F]``, ``weight_hh [n_agents, 3H, H]``,
    ``bias_ih [n_agents, 3H]`` and ``bias_hh [n_agents, 3H]``; without the agent dimension where
    they are shared.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import MultiAgentGRU
        >>> gru = MultiAgentGRU(input_size=5, hidden_size=16, n_agents=3, share_params=True)
        >>> output, h = gru.unroll(torch.randn(64, 8, 3, 5))
        >>> output.shape, h.shape
        (torch.Size([64, 8, 3, 16]), torch.Size([64, 3, 16]))
    """

    n_gates = 3
    n_states = 1

    def forward(
        self, input: Tensor, hx: Tensor | None = None, is_init: Tensor | None = None
    ) -> Tensor:
        """Runs over a sequence; see :meth:`unroll`, of which this is the first result.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.
            hx (Tensor, optional): as there.
            is_init (Tensor, optional): as there.

        Returns:
            Tensor: hidden states ``[*B, T, n_agents, H]``.
        """
        return self.unroll(input, hx, is_init)[0]

    def unroll(
        self, input: Tensor, hx: Tensor | None = None, is_init: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Runs over a sequence and returns the final state too.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.
            hx (Tensor, optional): initial state ``[*B, n_agents, H]``, or that before every step,
                ``[*B, T, n_agents, H]``. Default: zeros.
            is_init (Tensor, optional): flags ``[*B, T]`` or ``[*B, T, 1]``. Where one is set,
                nothing is carried over: that step starts from zeros, or from its own ``hx`` where
                there is one of every step.

        Returns:
            tuple: hidden states ``[*B, T, n_agents, H]`` and the final one ``[*B, n_agents, H]``.

        Raises:
            ValueError: if a shape is not as above.
        """
        (output,), (h,) = self._unroll(input, None if hx is None else (hx,), is_init)
        return output, h

    def _input_bias(self) -> Tensor:
        return self.bias_ih.unsqueeze(-2)

    def _cell(self, projected: Tensor, state: State | None, weight: Tensor) -> State:
        split = (2 * self.hidden_size, self.hidden_size)
        hidden = self.bias_hh.unsqueeze(-2)
        if state is not None:
            hidden = add_product(hidden, state[0], weight)
        x_rz, x_n = projected.split(split, -1)
        h_rz, h_n = hidden.split(split, -1)
        r, z = (x_rz + h_rz).sigmoid().chunk(2, -1)
        n = tanh(torch.addcmul(x_n, r, h_n))
        # not torch.lerp, which takes no two types, as autocast makes of states and gates
        return (n * (1.0 - z) if state is None else torch.addcmul(n, z, state[0] - n),)

    def _recurrence(
        self,
        x: Tensor,
        state: State | None,
        keep: Tensor | None,
        starts: State | None,
        n_sequences: int,
    ) -> tuple[Sequence[Tensor], State]:
        h = None if state is None else state[0]
        start = None if starts is None else starts[0]
        outputs, last = gru_recurrence(x, *self._per_network(), h, keep, n_sequences > 0, start)
        return (outputs,)[:n_sequences], (last,)
