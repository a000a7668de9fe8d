"""What the recurrent cores of all agents share: parameters, layout, time loop, checks.

Axes: ``A`` agents, ``T`` time, ``N`` flattened batch, ``F`` input features, ``H`` hidden units,
``G`` gates (4 for an LSTM, 3 for a GRU).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

from torchrl_drigm.modules._kernels.basic import add_product, learns
from torchrl_drigm.modules.models._checks import as_flags, check_sizes

State = tuple[Tensor, ...]  # ``h``, and ``c`` of an LSTM

# with fewer rows, as while acting, products are so small that the number of calls decides
_FEW_ROWS = 16


def _are_zero(*tensors: Tensor, at: Tensor | None = None) -> bool:
    """Whether all numbers are zero, as far as can be known without waiting for a device.

    ``at`` ``[N, T, 1]`` says which ones of ``[N, T, F]`` to look at.
    """
    if (
        is_compiling()
        or torch._C._are_functorch_transforms_active()
        or tensors[0].device.type != "cpu"
    ):
        return False
    if at is not None:
        tensors = tuple(x[at.squeeze(-1)] for x in tensors)
    return not any(x.any() for x in tensors)


class MultiAgentRNN(nn.Module):
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

    def _cell(self, projected: Tensor, state: State | None, weight: Tensor) -> State:
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
            hx (Tensor or tuple of Tensor, optional): initial state, or that before every step, as
                :meth:`unroll` takes it.
            is_init (Tensor, optional): flags ``[*B, T]`` or ``[*B, T, 1]``.

        Returns:
            tuple of Tensor: ``h``, and ``c`` of an LSTM, ``[*B, T, n_agents, H]`` each.
        """
        if isinstance(hx, Tensor):
            hx = (hx,)
        return self._unroll(input, hx, is_init, self.n_states)[0]

    def final_state(self, input: Tensor) -> tuple[Tensor, ...]:
        """The state after the last step alone: less work than :meth:`states`.

        Args:
            input (Tensor): ``[*B, T, n_agents, F]``.

        Returns:
            tuple of Tensor: ``h``, and ``c`` of an LSTM, ``[*B, n_agents, H]`` each.
        """
        return self._unroll(input, None, None, 0)[1]

    def _unroll(
        self,
        input: Tensor,
        state: tuple[Tensor, ...] | None,
        is_init: Tensor | None,
        n_sequences: int = 1,
    ) -> tuple[Sequence[Tensor], State]:
        """Sequences of the first ``n_sequences`` state tensors, and the final state."""
        self._check(input, state, is_init)
        *batch, n_steps, n_agents, _ = input.shape
        n_batch = math.prod(batch)

        def inside(x: Tensor) -> Tensor:
            """``[*B, T, A, F]`` -> ``[1, T, N * A, F]`` or ``[A, T, N, F]``.

            Shared parameters see the agents as more rows of one batch, others as one batch each.
            """
            x = x.reshape(n_batch, -1, n_agents, x.shape[-1])
            if self.share_params:
                return x.transpose(0, 1).flatten(1, 2).unsqueeze(0)
            return x.permute(2, 1, 0, 3)

        x = inside(input)
        if is_init is not None:
            is_init = as_flags(f"{type(self).__name__}: is_init", is_init)
            is_init = is_init.reshape(n_batch, n_steps, 1)
        starts = None
        if state is not None and state[0].ndim == input.ndim:
            starts, state = state, tuple(s.select(-3, 0) for s in state)
            if is_init is not None:
                # the first step starts from its own state in any case
                is_init = is_init.index_fill(1, is_init.new_zeros(1, dtype=torch.int64), False)
            if is_init is None or _are_zero(is_init):
                starts = is_init = None
            elif not learns(*starts) and _are_zero(
                *(s.reshape(n_batch, n_steps, -1) for s in starts), at=is_init
            ):
                starts = None  # all are those of episodes
        if is_init is not None and self.share_params:
            is_init = is_init.repeat_interleave(n_agents, 0)
        if state is not None:
            # [*B, A, H] -> [1, N * A, H] or [A, N, H]
            state = tuple(inside(s).squeeze(1) for s in state)
        if starts is not None:
            starts = tuple(inside(s) for s in starts)
        # a gradient by hand has none for starts
        plain = self._plain(x) or (starts is not None and learns(*starts))
        run = self._run if plain else self._run_fused
        sequences, state = run(x, state, is_init, starts, n_sequences)

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
        """Whether the loop of differentiable operations is to run, and not :meth:`_run_fused`.

        Autocast, transforms of functions and compilers reach differentiable operations only.
        """
        return (
            is_compiling()
            or torch._C._are_functorch_transforms_active()
            or torch.is_autocast_enabled(x.device.type)
        )

    def _run(
        self,
        x: Tensor,
        state: State | None,
        is_init: Tensor | None,
        starts: State | None,
        n_sequences: int,
    ) -> tuple[Sequence[Tensor], State]:
        """One differentiable operation after the other, on ``[A, T, N, F]``.

        Where ``is_init`` ``[N, T, 1]``, nothing is carried over: steps start from ``starts``
        ``[A, T, N, H]``, or from zeros.

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
                if starts is None:
                    state = tuple(s.masked_fill(is_init[:, t], 0.0) for s in state)
                else:
                    own = (start[:, t] for start in starts)
                    pairs = zip(own, state, strict=True)
                    state = tuple(torch.where(is_init[:, t], *pair) for pair in pairs)
            state = self._cell(projected_t, state, weight_hh)
            steps.append(state[:n_sequences])
        return [torch.stack(s, 1) for s in zip(*steps, strict=True)], state

    def _run_fused(
        self,
        x: Tensor,
        state: State | None,
        is_init: Tensor | None,
        starts: State | None,
        n_sequences: int,
    ) -> tuple[Sequence[Tensor], State]:
        """What :meth:`_run` computes, in fewer and larger operations."""
        # a single step has no recurrence
        few = x.shape[2] < _FEW_ROWS
        if x.shape[1] == 1 or (few and not learns(x, *self._per_network(), *(state or ()))):
            return self._run(x, state, is_init, starts, n_sequences)
        if state is not None:
            state = tuple(s.transpose(1, 2) for s in state)
        keep = None if is_init is None else (~is_init).squeeze(-1).t().to(x.dtype)
        if starts is not None:
            # [A, T, N, H] -> [T, A, H, N], zeros where the state is carried over
            carried = ~is_init.transpose(0, 1)
            starts = tuple(s.masked_fill(carried, 0.0).permute(1, 0, 3, 2) for s in starts)
        sequences, state = self._recurrence(x, state, keep, starts, n_sequences)
        # [T, A, H, N] -> [A, T, N, H]
        return [s.permute(1, 0, 3, 2) for s in sequences], tuple(s.transpose(1, 2) for s in state)

    def _recurrence(
        self,
        x: Tensor,
        state: State | None,
        keep: Tensor | None,
        starts: State | None,
        n_sequences: int,
    ) -> tuple[Sequence[Tensor], State]:
        """With a gradient written by hand: as :meth:`_run`, but states are ``[A, H, N]``.

        Sequences and ``starts`` are ``[T, A, H, N]``; ``keep`` is ``[T, N]``.
        """
        raise NotImplementedError

    def _per_network(self) -> tuple[Tensor, ...]:
        """The parameters with a leading dimension of networks, 1 where they are shared."""
        parameters = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return tuple(p.unsqueeze(0) if self.share_params else p for p in parameters)

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
            first = [*batch, n_agents, self.hidden_size]
            every = [*batch, n_steps, n_agents, self.hidden_size]
            received = [list(s.shape) for s in state]
            if received not in ([first] * self.n_states, [every] * self.n_states):
                raise ValueError(
                    f"{name}: expected hx of {self.n_states} tensor(s) of shape {first}, or "
                    f"{every} with the state before every step, received {received}. Pass what "
                    "unroll() returned for the same batch, or None."
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
