"""Recurrent cores for multi-agent networks, one per agent or one for all.

Axes: ``A`` agents, ``T`` time, ``N`` flattened batch, ``F`` input features, ``H`` hidden units,
``G`` gates (4 for an LSTM, 3 for a GRU).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

from torchrl_drigm.modules.models._checks import check_sizes
from torchrl_drigm.modules.models._lstm_recurrence import lstm_recurrence

__all__ = ["MultiAgentGRU", "MultiAgentLSTM"]

# with fewer rows, as while acting, the products are so small that the number of calls decides
_FEW_ROWS = 32


def add_product(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """``bias + x @ weight`` of batches of matrices."""
    if is_compiling():
        # the sum becomes part of what follows it, where baddbmm first copies the bias
        return bias + torch.bmm(x, weight)
    return torch.baddbmm(bias, x, weight)


def _tanh(x: Tensor) -> Tensor:
    if is_compiling() and x.device.type == "cpu":
        return 2.0 * torch.sigmoid(2.0 * x) - 1.0  # in fewer instructions; absolute error 1e-7
    return x.tanh()


class _MultiAgentRNN(nn.Module):
    """What the LSTM and the GRU have in common: parameters, layout, time loop, checks.

    The state is a tuple of tensors, each ``[A, N, H]`` inside (``[1, N * A, H]`` with shared
    parameters) and ``[*B, n_agents, H]`` outside.
    """

    n_gates: int
    n_states: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_agents: int,
        share_params: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            type(self).__name__, input_size=input_size, hidden_size=hidden_size, n_agents=n_agents
        )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.n_agents = n_agents
        self.share_params = share_params
        agents = () if share_params else (n_agents,)
        rows = self.n_gates * hidden_size

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*agents, *shape, device=device, dtype=dtype))

        self.weight_ih = parameter(rows, input_size)
        self.weight_hh = parameter(rows, hidden_size)
        self.bias_ih = parameter(rows)
        self.bias_hh = parameter(rows)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter from U(-1/sqrt(H), 1/sqrt(H)), as ``torch.nn.LSTM`` does."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, for ``repr``."""
        return (
            f"{self.input_size}, {self.hidden_size}, n_agents={self.n_agents}, "
            f"share_params={self.share_params}"
        )

    def _input_bias(self) -> Tensor:
        raise NotImplementedError

    def _cell(
        self, projected: Tensor, state: tuple[Tensor, ...] | None, weight: Tensor
    ) -> tuple[Tensor, ...]:
        """The next state; ``None`` stands for a state of zeros, which costs no product."""
        raise NotImplementedError

    def states(
        self,
        input: Tensor,
        hx: tuple[Tensor, ...] | Tensor | None = None,
        is_init: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """The whole state after every step of a sequence, which single steps can go on from.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.
            hx (Tensor or tuple of Tensor, optional): initial state, as :meth:`unroll` takes it.
            is_init (Tensor, optional): bool, ``[*B, T]`` or ``[*B, T, 1]``.

        Returns:
            tuple of Tensor: ``h``, and ``c`` of an LSTM, ``[*B, T, n_agents, H]`` each.
        """
        if isinstance(hx, Tensor):
            hx = (hx,)
        return self._unroll(input, hx, is_init, self.n_states)[0]

    def _unroll(
        self,
        input: Tensor,
        state: tuple[Tensor, ...] | None,
        is_init: Tensor | None,
        n_sequences: int = 1,
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Sequences of the first ``n_sequences`` state tensors, and the final state."""
        self._check(input, state, is_init)
        *batch, n_steps, n_agents, _ = input.shape
        n_batch = input.shape[:-3].numel()
        # Shared parameters see the agents as more rows R of one batch, others as one batch each:
        # [*B, T, A, F] -> [1, T, N * A, F] or [A, T, N, F]
        x = input.reshape(-1, n_steps, n_agents, self.input_size)
        if self.share_params:
            x = x.transpose(0, 1).flatten(1, 2).unsqueeze(0)
        else:
            x = x.permute(2, 1, 0, 3)
        if state is not None:
            # [*B, A, H] -> [1, N * A, H] or [A, N, H]
            state = tuple(s.reshape(n_batch, n_agents, -1) for s in state)
            state = tuple(
                s.reshape(1, -1, self.hidden_size) if self.share_params else s.transpose(0, 1)
                for s in state
            )
        if is_init is not None:
            is_init = is_init.reshape(n_batch, n_steps, 1)
            if self.share_params:
                is_init = is_init.repeat_interleave(n_agents, 0)
        run = self._run if self._plain(x) else self._run_fused
        sequences, state = run(x, state, is_init, n_sequences)

        def outside(x: Tensor) -> Tensor:
            """``[1, T, N * A, H]`` or ``[A, T, N, H]`` -> ``[*B, T, A, H]``."""
            if self.share_params:
                x = x.reshape(-1, n_batch, n_agents, self.hidden_size).transpose(0, 1)
            else:
                x = x.permute(2, 1, 0, 3)
            return x.reshape(*batch, -1, n_agents, self.hidden_size)

        return (
            tuple(outside(s) for s in sequences),
            tuple(outside(s.unsqueeze(1)).squeeze(-3) for s in state),
        )

    def _plain(self, x: Tensor) -> bool:
        """Whether the loop of differentiable operations is to run, and not :meth:`_run_fused`."""
        return True

    def _run(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None,
        is_init: Tensor | None,
        n_sequences: int,
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """One differentiable operation after the other, on ``[A, T, N, F]``.

        Returns the first ``n_sequences`` state tensors after every step, ``[A, T, N, H]`` each, and
        the final state, ``[A, N, H]`` each.
        """
        networks, n_steps, n_rows, _ = x.shape
        weight_ih = self.weight_ih.expand(networks, -1, -1).transpose(1, 2)
        weight_hh = self.weight_hh.expand(networks, -1, -1).transpose(1, 2)
        # one batched product for all steps
        projected = add_product(self._input_bias(), x.flatten(1, 2), weight_ih)
        projected = projected.view(networks, n_steps, n_rows, -1)
        steps = []
        for t, projected_t in enumerate(projected.unbind(1)):
            if state is not None and is_init is not None:
                state = tuple(s.masked_fill(is_init[:, t], 0.0) for s in state)
            state = self._cell(projected_t, state, weight_hh)
            steps.append(state[:n_sequences])
        return [torch.stack(s, 1) for s in zip(*steps, strict=True)], state

    def _run_fused(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None,
        is_init: Tensor | None,
        n_sequences: int,
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """What :meth:`_run` computes, in fewer and larger operations."""
        raise NotImplementedError

    def _check(
        self, input: Tensor, state: tuple[Tensor, ...] | None, is_init: Tensor | None
    ) -> None:
        name = type(self).__name__
        expected = (self.n_agents, self.input_size)
        if input.ndim < 3 or tuple(input.shape[-2:]) != expected:
            raise ValueError(
                f"{name}: expected input of shape [*B, T, n_agents={self.n_agents}, "
                f"input_size={self.input_size}], received {list(input.shape)}. Move the agent "
                "dimension to just before the features, after time."
            )
        *batch, n_steps, n_agents, _ = input.shape
        if state is not None:
            expected = [*batch, n_agents, self.hidden_size]
            received = [list(s.shape) for s in state]
            if received != [expected] * self.n_states:
                raise ValueError(
                    f"{name}: expected hx of {self.n_states} tensor(s) of shape {expected}, "
                    f"received {received}. Pass what unroll() returned for the same batch, or None."
                )
        if is_init is not None and list(is_init.shape) not in (
            [*batch, n_steps],
            [*batch, n_steps, 1],
        ):
            raise ValueError(
                f"{name}: expected is_init of shape {[*batch, n_steps]} or "
                f"{[*batch, n_steps, 1]}, received {list(is_init.shape)}. Pass one flag per step; "
                "a reset reaches all agents."
            )


class MultiAgentLSTM(_MultiAgentRNN):
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
            hx (tuple of Tensor, optional): ``(h, c)``, each ``[*B, n_agents, H]``.
            is_init (Tensor, optional): bool, ``[*B, T]`` or ``[*B, T, 1]``.

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
            hx (tuple of Tensor, optional): initial ``(h, c)``, each ``[*B, n_agents, H]``.
                Default: zeros.
            is_init (Tensor, optional): bool, ``[*B, T]`` or ``[*B, T, 1]``. Where ``True`` the
                carried state is set to zero before that step.

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

    def _cell(
        self, projected: Tensor, state: tuple[Tensor, ...] | None, weight: Tensor
    ) -> tuple[Tensor, ...]:
        gates = projected if state is None else add_product(projected, state[0], weight)
        i, f, g, o = gates.chunk(4, -1)
        c = i.sigmoid() * _tanh(g)
        if state is not None:
            c = torch.addcmul(c, f.sigmoid(), state[1])
        return o.sigmoid() * _tanh(c), c

    def _plain(self, x: Tensor) -> bool:
        # A compiler fuses what is between the products, if it sees it. Autocast and transforms of
        # functions reach differentiable operations only.
        return (
            is_compiling()
            or torch._C._are_functorch_transforms_active()
            or torch.is_autocast_enabled(x.device.type)
        )

    def _run_fused(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None,
        is_init: Tensor | None,
        n_sequences: int,
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        tensors = (x, *self._per_network(), *(state or ()))
        learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        if not learns and x.shape[2] < _FEW_ROWS:
            return self._run(x, state, is_init, n_sequences)
        if not learns and is_init is None and n_sequences == 1 and x.device.type == "cpu":
            return self._run_library(x, state)
        weight_ih, weight_hh, bias_ih, bias_hh = self._per_network()
        h, c = (None, None) if state is None else (s.transpose(1, 2) for s in state)
        keep = None if is_init is None else (~is_init).squeeze(-1).t().to(x.dtype)
        *sequences, last, _, _ = lstm_recurrence(
            x, weight_ih, weight_hh, bias_ih + bias_hh, h, c, keep
        )
        # [T, A, H, N] -> [A, T, N, H]
        final = (last.transpose(1, 2), sequences[1][-1].transpose(1, 2))
        return [s.permute(1, 0, 3, 2) for s in sequences[:n_sequences]], final

    def _per_network(self) -> tuple[Tensor, ...]:
        """The parameters with a leading dimension of networks, 1 where they are shared."""
        parameters = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return tuple(p.unsqueeze(0) if self.share_params else p for p in parameters)

    def _run_library(
        self, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """Network by network with PyTorch's own, which without a gradient is the fastest."""
        networks, _, n_rows, _ = x.shape
        if state is None:
            zeros = x.new_zeros(1, n_rows, self.hidden_size)
            states = [(zeros, zeros)] * networks
        else:
            states = [[s[a].unsqueeze(0).contiguous() for s in state] for a in range(networks)]
        outputs, h, c = zip(
            *(
                torch.lstm(x_a, hx, w, True, 1, 0.0, False, False, False)
                for x_a, hx, *w in zip(x, states, *self._per_network(), strict=True)
            ),
            strict=True,
        )
        return [torch.stack(outputs)], (torch.cat(h), torch.cat(c))


class MultiAgentGRU(_MultiAgentRNN):
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
            hx (Tensor, optional): ``[*B, n_agents, H]``.
            is_init (Tensor, optional): bool, ``[*B, T]`` or ``[*B, T, 1]``.

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
            hx (Tensor, optional): initial state ``[*B, n_agents, H]``. Default: zeros.
            is_init (Tensor, optional): bool, ``[*B, T]`` or ``[*B, T, 1]``. Where ``True`` the
                carried state is set to zero before that step.

        Returns:
            tuple: hidden states ``[*B, T, n_agents, H]`` and the final one ``[*B, n_agents, H]``.

        Raises:
            ValueError: if a shape is not as above.
        """
        (output,), (h,) = self._unroll(input, None if hx is None else (hx,), is_init)
        return output, h

    def _input_bias(self) -> Tensor:
        return self.bias_ih.unsqueeze(-2)

    def _cell(
        self, projected: Tensor, state: tuple[Tensor, ...] | None, weight: Tensor
    ) -> tuple[Tensor, ...]:
        split = (2 * self.hidden_size, self.hidden_size)
        hidden = self.bias_hh.unsqueeze(-2)
        if state is not None:
            hidden = add_product(hidden, state[0], weight)
        x_rz, x_n = projected.split(split, -1)
        h_rz, h_n = hidden.split(split, -1)
        r, z = (x_rz + h_rz).sigmoid().chunk(2, -1)
        n = _tanh(torch.addcmul(x_n, r, h_n))
        return (n * (1.0 - z) if state is None else torch.lerp(n, state[0], z),)
