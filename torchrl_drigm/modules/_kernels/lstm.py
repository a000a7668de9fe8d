"""An LSTM over a whole sequence, with the gradient written by hand.

Axes: ``T`` time, ``A`` networks, ``N`` rows, ``F`` input features, ``H`` hidden units.

On a CPU the time beside the matrix products goes into small operations. These are few here, and run
in memory that is still in the cache:

- gates are kept as ``[T, A, 4 H, N]``: a step is one block, a gate of a network one run of memory;
- the cell gate's weights are doubled, since ``tanh x = 2 sigmoid(2x) - 1``: one sigmoid serves all
  four gates (absolute error 1e-7);
- states are kept negated, as ``-o tanh c = o - 2 o sigmoid(2c)`` is one operation and its negative
  two; the sign is undone in the recurrent weights and in what is returned;
- the backward pass leaves constant factors of the gates' gradients to the weights as well.

Compiled code runs the plain loop instead, which a compiler sees into.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchrl_drigm.modules._kernels.basic import learns

__all__ = ["lstm_recurrence"]

# writing into given memory is what this overload adds to autograd's own formula
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def lstm_recurrence(
    x: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    h: Tensor | None,
    c: Tensor | None,
    keep: Tensor | None,
    n_sequences: int,
    starts: tuple[Tensor, Tensor] | None = None,
) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """States of an LSTM along a sequence.

    Args:
        x (Tensor): ``[A, T, N, F]``.
        weight_ih (Tensor): ``[A, 4H, F]``.
        weight_hh (Tensor): ``[A, 4H, H]``.
        bias (Tensor): sum of both biases, ``[A, 4H]``.
        h (Tensor, optional): initial state ``[A, H, N]``. Default: zeros.
        c (Tensor, optional): initial state ``[A, H, N]``. Default: zeros.
        keep (Tensor, optional): ``[T, N]``, multiplies the carried state before each step.
        n_sequences (int): 0 for the final state only, 1 for ``h`` after every step too, 2 for
            ``h`` and ``c``.
        starts (tuple of Tensor, optional): ``[T, A, H, N]`` each, added to what is kept of the
            carried ``h`` and ``c``; no gradient goes there. Default: zeros.

    Returns:
        tuple: the sequences, ``[T, A, H, N]`` each, and the final ``(h, c)``, ``[A, H, N]`` each.
    """
    inputs = x, weight_ih, weight_hh, bias, h, c
    starts = (None, None) if starts is None else tuple(-s for s in starts)
    if learns(*inputs):
        last, outputs, cells = _Recurrence.apply(*inputs, keep, *starts)
        last_cell = cells[-1]
    else:
        last, last_cell, _, outputs, cells, *_ = _forward(*inputs, keep, *starts, n_sequences)
    return [-s for s in (outputs, cells)[:n_sequences]], (-last, -last_cell)


def _forward(
    x, weight_ih, weight_hh, bias, h, c, keep, start_h, start_c, n_sequences, every_step=False
):
    """The last ``h`` and ``c``, scaled weights and what was kept of all steps; states are negated.

    Memory of steps that nobody asks for is used again, while it is in the cache.
    """
    networks, n_steps, rows, _ = x.shape
    hidden = weight_hh.shape[-1]

    def buffer(all_kept: bool, *shape: int, reused: int = 1) -> tuple[Tensor, list[Tensor]]:
        kept = x.new_empty(n_steps if all_kept else reused, networks, *shape, rows)
        return kept, _cycled(kept, n_steps)

    w_ih, w_hh, bias = (
        _scale_cell(weight.clone(), 2.0) for weight in (weight_ih, weight_hh, bias.unsqueeze(-1))
    )
    gates, gates_at = buffer(every_step, 4 * hidden)
    each_gate = zip(*(_cycled(gate, n_steps) for gate in gates.chunk(4, 2)), strict=True)
    squashed, squashed_at = buffer(every_step, hidden)
    outputs, outputs_at = buffer(every_step or n_sequences > 0, hidden)
    cells, cells_at = buffer(every_step or n_sequences > 1, hidden, reused=2)
    h, c = (None if state is None else -state for state in (h, c))
    x = x.transpose(2, 3).unbind(1)
    steps = zip(x, gates_at, each_gate, squashed_at, outputs_at, cells_at, strict=True)
    for t, (x_t, gates_t, (i, f, g, o), squashed_t, next_h, next_c) in enumerate(steps):
        torch.baddbmm(bias, w_ih, x_t, out=gates_t)
        if h is not None:
            gates_t.baddbmm_(w_hh, _carried(h, keep, start_h, t), alpha=-1.0)
        gates_t.sigmoid_()
        torch.addcmul(i, i, g, value=-2.0, out=next_c)
        if c is not None:
            next_c.addcmul_(f, _carried(c, keep, start_c, t))
        torch.mul(next_c, -2.0, out=squashed_t).sigmoid_()
        h = torch.addcmul(o, o, squashed_t, value=-2.0, out=next_h)
        c = next_c
    return h, c, (w_ih, w_hh), outputs, cells, gates, squashed


class _Recurrence(torch.autograd.Function):
    """:func:`lstm_recurrence`, but all is negated."""

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias, h, c, keep, start_h, start_c):
        last, _, ctx.weights, *kept = _forward(
            x, weight_ih, weight_hh, bias, h, c, keep, start_h, start_c, 2, every_step=True
        )
        h, c = (None if state is None else -state for state in (h, c))
        ctx.has_state = h is not None
        ctx.save_for_backward(x, h, c, keep, start_h, start_c, *kept)
        # the last one once more: who reads only that pays for no gradient of the others
        ctx.set_materialize_grads(False)
        outputs, cells, *_ = kept
        return last.clone(), outputs, cells

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_last, grad_outputs, grad_cells):
        x, first_h, first_c, keep, start_h, start_c, *kept = ctx.saved_tensors
        each_gate = zip(*(gate.unbind() for gate in kept[2].chunk(4, 2)), strict=True)
        outputs, cells, gates, squashed = (steps.unbind() for steps in kept)
        networks, gate_size, rows = gates[0].shape
        # the loop below leaves a factor of -2 of the cell gate's gradient to the weights, which are
        # twice themselves there already
        w_ih, w_hh = (_scale_cell(weight, -2.0) for weight in ctx.weights)
        w_hh = w_hh.transpose(1, 2)
        d_x = x.new_empty(len(gates), networks, *x.shape[2:])
        d_weight_ih, d_weight_hh = (torch.zeros_like(weight) for weight in ctx.weights)
        d_gates = torch.empty_like(gates[0])
        d_gates_rows, d_gates_t = d_gates.view(-1, rows), d_gates.transpose(1, 2)
        d_i, d_f, d_g, d_o = d_gates.chunk(4, 1)
        d_bias, ones = x.new_zeros(networks * gate_size), x.new_ones(rows)
        d_h, d_c, product = (torch.zeros_like(outputs[0]) for _ in range(3))
        if grad_last is not None:
            d_h += grad_last
        steps = zip(x.unbind(1), d_x.unbind(), gates, each_gate, squashed, strict=True)
        for t, (x_t, d_x_t, gates_t, (i, f, g, o), squashed_t) in reversed(list(enumerate(steps))):
            if grad_outputs is not None:
                d_h += grad_outputs[t]
            if grad_cells is not None:
                d_c += grad_cells[t]
            h, c = (outputs[t - 1], cells[t - 1]) if t else (first_h, first_c)
            # h = o tanh(c)
            torch.addcmul(d_h, d_h, squashed_t, value=-2.0, out=d_o)
            torch.mul(d_h, o, out=product)
            d_c.add_(_sigmoid_backward(product, squashed_t, grad_input=product), alpha=4.0)
            # c = f c + i tanh
            torch.addcmul(d_c, d_c, g, value=-2.0, out=d_i)
            torch.mul(d_c, i, out=d_g)
            if c is None:
                d_f.zero_()
            else:
                torch.mul(d_c, _carried(c, keep, start_c, t), out=d_f)
            _sigmoid_backward(d_gates, gates_t, grad_input=d_gates)
            d_weight_ih.baddbmm_(d_gates, x_t)
            torch.bmm(d_gates_t, w_ih, out=d_x_t)
            d_bias.addmv_(d_gates_rows, ones)
            if h is not None:
                d_weight_hh.baddbmm_(
                    d_gates, _carried(h, keep, start_h, t).transpose(1, 2), alpha=-1.0
                )
                d_h.baddbmm_(w_hh, d_gates, beta=0.0, alpha=-1.0)
                d_c *= f
                if keep is not None:
                    d_h *= keep[t]
                    d_c *= keep[t]
        for weight in ctx.weights:
            _scale_cell(weight, -0.5)  # as it was, for another pass
        d_bias = _scale_cell(d_bias.view(networks, -1, 1), -4.0).squeeze(-1)
        d_weights = _scale_cell(d_weight_ih, -4.0), _scale_cell(d_weight_hh, -4.0)
        states = (d_h.neg_(), d_c.neg_()) if ctx.has_state else (None, None)
        return d_x.transpose(0, 1), *d_weights, d_bias, *states, None, None, None


def _cycled(kept: Tensor, n_steps: int) -> list[Tensor]:
    """What each step has of ``[T, ...]``, or of fewer that take turns."""
    views = kept.unbind()
    return [views[t % len(views)] for t in range(n_steps)]


def _carried(state: Tensor, keep: Tensor | None, start: Tensor | None, t: int) -> Tensor:
    """What a step starts from."""
    if keep is None:
        return state
    return state * keep[t] if start is None else torch.addcmul(start[t], state, keep[t])


def _scale_cell(weight: Tensor, factor: float) -> Tensor:
    """Multiplies the rows of the cell gate, the third of four, in place: ``[A, 4H, ...]``."""
    weight.chunk(4, 1)[2].mul_(factor)
    return weight
