"""An LSTM over a whole sequence, with the gradient written by hand.

Axes: ``T`` time, ``A`` networks, ``N`` rows, ``F`` input features, ``H`` hidden units.

On a CPU the time beside the matrix products goes into small operations. These are few here, and run
in memory that is still in the cache:

- gates are kept as ``[T, A, 4, H, N]``: a step is one block, a gate of a network one run of memory;
- the cell gate's weights are doubled, since ``tanh x = 2 sigmoid(2x) - 1``: one sigmoid serves all
  four gates (absolute error 1e-7);
- states are kept negated, as ``-o tanh c = o - 2 o sigmoid(2c)`` is one operation and its negative
  two; the sign is undone in the recurrent weights and in what is returned;
- the backward pass leaves constant factors of the gates' gradients to the weights as well.

Compiled code has other forms, which a compiler sees into (``_lstm_window.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["learns", "lstm_recurrence"]

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

    Returns:
        tuple: the sequences, ``[T, A, H, N]`` each, and the final ``(h, c)``, ``[A, H, N]`` each.
    """
    inputs = x, weight_ih, weight_hh, bias, h, c
    if learns(*inputs):
        last, outputs, cells = _Recurrence.apply(*inputs, keep)
        last_cell = cells[-1]
    else:
        last, last_cell, outputs, cells, *_ = _forward(*inputs, keep, n_sequences)
    return [-s for s in (outputs, cells)[:n_sequences]], (-last, -last_cell)


def learns(*tensors: Tensor | None) -> bool:
    """Whether a gradient will be asked for of any of them."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _forward(x, weight_ih, weight_hh, bias, h, c, keep, n_sequences, every_step=False):
    """The last ``h`` and ``c`` and what was kept of all steps; states are negated.

    Memory of steps that nobody asks for is used again, while it is in the cache.
    """
    networks, n_steps, rows, _ = x.shape
    hidden = weight_hh.shape[-1]

    def buffer(all_kept: bool, *shape: int, reused: int = 1) -> tuple[Tensor, list[Tensor]]:
        kept = x.new_empty(n_steps if all_kept else reused, networks, *shape, rows)
        views = kept.unbind()
        return kept, [views[t % len(views)] for t in range(n_steps)]

    w_ih, w_hh = _scale_cell(weight_ih.clone(), 2.0), _scale_cell(-weight_hh, 2.0)
    bias = _scale_cell(bias.unsqueeze(-1).clone(), 2.0)
    gates, gates_at = buffer(every_step, 4, hidden)
    squashed, squashed_at = buffer(every_step, hidden)
    outputs, outputs_at = buffer(every_step or n_sequences > 0, hidden)
    cells, cells_at = buffer(every_step or n_sequences > 1, hidden, reused=2)
    h, c = (None if state is None else -state for state in (h, c))
    steps = zip(
        x.transpose(2, 3).unbind(1), gates_at, squashed_at, outputs_at, cells_at, strict=True
    )
    for t, (x_t, gates_t, squashed_t, next_h, next_c) in enumerate(steps):
        all_gates = gates_t.flatten(1, 2)
        i, f, g, o = gates_t.unbind(1)
        torch.baddbmm(bias, w_ih, x_t, out=all_gates)
        if h is not None:
            torch.baddbmm(all_gates, w_hh, _carried(h, keep, t), out=all_gates)
        all_gates.sigmoid_()
        torch.addcmul(i, i, g, value=-2.0, out=next_c)
        if c is not None:
            next_c.addcmul_(f, _carried(c, keep, t))
        torch.mul(next_c, -2.0, out=squashed_t).sigmoid_()
        h = torch.addcmul(o, o, squashed_t, value=-2.0, out=next_h)
        c = next_c
    return h, c, outputs, cells, gates, squashed


class _Recurrence(torch.autograd.Function):
    """:func:`lstm_recurrence`, but all is negated."""

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias, h, c, keep):
        last, _, *kept = _forward(x, weight_ih, weight_hh, bias, h, c, keep, 2, every_step=True)
        h, c = (None if state is None else -state for state in (h, c))
        ctx.has_state = h is not None
        ctx.save_for_backward(x, weight_ih, weight_hh, h, c, keep, *kept)
        # the last one once more: who reads only that pays for no gradient of the others
        ctx.set_materialize_grads(False)
        outputs, cells, *_ = kept
        return last.clone(), outputs, cells

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_last, grad_outputs, grad_cells):
        x, weight_ih, weight_hh, first_h, first_c, keep, *kept = ctx.saved_tensors
        outputs, cells, gates, squashed = kept
        n_steps, networks, _, hidden, rows = gates.shape
        # the gradient before a gate's sigmoid is what the loop below computes for it, negated and,
        # of the cell gate, times -4
        w_ih, w_hh = _scale_cell(-weight_ih, -4.0), _scale_cell(-weight_hh, -4.0).transpose(1, 2)
        d_x = x.new_empty(n_steps, networks, *x.shape[2:])
        d_weight_ih, d_weight_hh = torch.zeros_like(weight_ih), torch.zeros_like(weight_hh)
        d_gates = torch.empty_like(gates[0])
        d_i, d_f, d_g, d_o = d_gates.unbind(1)
        d_gates = d_gates.flatten(1, 2)
        d_bias, ones = x.new_zeros(networks * 4 * hidden), x.new_ones(rows)
        d_h, d_c, product = (torch.zeros_like(outputs[0]) for _ in range(3))
        if grad_last is not None:
            d_h.sub_(grad_last)
        steps = zip(x.unbind(1), gates.flatten(2, 3), *gates.unbind(2), strict=True)
        for t, (x_t, all_gates, i, f, g, o) in reversed(list(enumerate(steps))):
            if grad_outputs is not None:
                d_h -= grad_outputs[t]
            if grad_cells is not None:
                d_c -= grad_cells[t]
            h, c = (outputs[t - 1], cells[t - 1]) if t else (first_h, first_c)
            # h = o tanh(c)
            torch.addcmul(d_h, d_h, squashed[t], value=-2.0, out=d_o)
            torch.mul(d_h, o, out=product)
            d_c.add_(_sigmoid_backward(product, squashed[t], grad_input=product), alpha=4.0)
            # c = f c + i tanh
            torch.addcmul(d_c, d_c, g, value=-2.0, out=d_i)
            torch.mul(d_c, i, out=d_g)
            if c is None:
                d_f.zero_()
            else:
                torch.mul(d_c, _carried(c, keep, t), out=d_f)
            _sigmoid_backward(d_gates, all_gates, grad_input=d_gates)
            torch.baddbmm(d_weight_ih, d_gates, x_t, out=d_weight_ih)
            torch.bmm(d_gates.transpose(1, 2), w_ih, out=d_x[t])
            d_bias.addmv_(d_gates.view(-1, rows), ones)
            if h is not None:
                h = _carried(h, keep, t).transpose(1, 2)
                torch.baddbmm(d_weight_hh, d_gates, h, out=d_weight_hh)
                torch.bmm(w_hh, d_gates, out=d_h)
                d_c *= f
                if keep is not None:
                    d_h *= keep[t]
                    d_c *= keep[t]
        d_bias = _scale_cell(d_bias.view(networks, -1, 1).neg_(), -4.0).squeeze(-1)
        d_weights = _scale_cell(d_weight_ih.neg_(), -4.0), _scale_cell(d_weight_hh, -4.0)
        states = (d_h, d_c) if ctx.has_state else (None, None)
        return d_x.transpose(0, 1), *d_weights, d_bias, *states, None


def _carried(state: Tensor, keep: Tensor | None, t: int) -> Tensor:
    return state if keep is None else state * keep[t]


def _scale_cell(weight: Tensor, factor: float) -> Tensor:
    """Multiplies the rows of the cell gate, the third of four, in place: ``[A, 4H, ...]``."""
    weight.unflatten(1, (4, -1)).select(1, 2).mul_(factor)
    return weight
