"""A GRU over a whole sequence, with the gradient written by hand.

Axes: ``T`` time, ``A`` networks, ``N`` rows, ``F`` input features, ``H`` hidden units.

As in ``lstm.py`` gates are kept as ``[T, A, 3 H, N]``, memory is used again where
nothing learns, and ``tanh x = 2 sigmoid(2x) - 1`` (absolute error 1e-7). States are kept as
``k = (h + 1) / 2``: then the new gate is a sigmoid ``s`` like the others, and a step is

    k' = s + z (k - s),  s = sigmoid(W_s x + b_s + r (U_s k + c_s))

with weights and biases that make up for it. In the backward pass the gradients of ``U_s k + c_s``
and of the gates lie in one block, that of ``s`` last: what goes to the weights of the state is the
first three quarters, what goes to those of the input the last three.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchrl_drigm.modules._kernels.basic import learns

__all__ = ["gru_recurrence"]

# writing into given memory is what this overload adds to autograd's own formula
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def gru_recurrence(
    x: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    h: Tensor | None,
    keep: Tensor | None,
    every_step: bool,
    start: Tensor | None = None,
) -> tuple[Tensor | None, Tensor]:
    """States of a GRU along a sequence.

    Args:
        x (Tensor): ``[A, T, N, F]``.
        weight_ih (Tensor): ``[A, 3H, F]``.
        weight_hh (Tensor): ``[A, 3H, H]``.
        bias_ih (Tensor): ``[A, 3H]``.
        bias_hh (Tensor): ``[A, 3H]``.
        h (Tensor, optional): initial state ``[A, H, N]``. Default: zeros.
        keep (Tensor, optional): ``[T, N]``, multiplies the carried state before each step.
        every_step (bool): whether the states of all steps are asked for.
        start (Tensor, optional): ``[T, A, H, N]``, added to what is kept of the carried state; no
            gradient goes there. Default: zeros.

    Returns:
        tuple: the state after every step ``[T, A, H, N]``, or ``None``, and the last one
        ``[A, H, N]``.
    """
    networks, _, rows, _ = x.shape
    hidden = weight_hh.shape[-1]
    split = (2 * hidden, hidden)
    double_new = x.new_ones(3 * hidden, 1)
    double_new[2 * hidden :] = 2.0
    # U h + c = 2 U k + (c - U 1)
    bias_hh = (bias_hh - weight_hh.sum(-1)).unsqueeze(-1) * double_new
    bias_rz, bias_n = bias_hh.split(split, 1)
    weight_hh = torch.cat((weight_hh * (2.0 * double_new)).split(split, 1)[::-1], 1)
    bias = bias_ih.unsqueeze(-1) * double_new + torch.cat([bias_rz, torch.zeros_like(bias_n)], 1)
    k = x.new_full((networks, hidden, rows), 0.5) if h is None else (h + 1.0) / 2.0
    # what takes the place of a state that is not kept
    start = x.new_full((1,), 0.5).expand(x.shape[1]) if start is None else (start + 1.0) / 2.0
    inputs = x, weight_ih * double_new, weight_hh, bias, bias_n, k
    if learns(*inputs):
        last, outputs = _Recurrence.apply(*inputs, keep, start)
    else:
        last, outputs, *_ = _forward(*inputs, keep, start, every_step)
    return (2.0 * outputs - 1.0) if every_step else None, 2.0 * last - 1.0


def _forward(x, weight_ih, weight_hh, bias, bias_n, k, keep, start, every_step, learning=False):
    """The last state, and the states, the gates, and what the reset gate multiplied, of all steps.

    ``weight_hh`` is for new, reset, update. Memory of steps that nobody asks for is used again,
    while it is in the cache.
    """
    networks, n_steps, rows, _ = x.shape
    hidden = k.shape[1]

    def buffer(all_kept: bool, size: int, reused: int = 1) -> Tensor:
        return x.new_empty(n_steps if all_kept else reused, networks, size, rows)

    def steps(kept: Tensor) -> list[Tensor]:
        views = kept.unbind()
        return [views[t % len(views)] for t in range(n_steps)]

    gates, state_part = buffer(learning, 3 * hidden), buffer(learning, hidden)
    outputs = buffer(learning or every_step, hidden, reused=2)
    r, z, n = gates.chunk(3, 2)
    kept = (gates, gates[:, :, : 2 * hidden], r, z, n, state_part, outputs)
    weight_n, weight_rz = weight_hh.split((hidden, 2 * hidden), 1)
    views = zip(x.transpose(2, 3).unbind(1), *map(steps, kept), strict=True)
    for t, (x_t, gates_t, rz, r, z, n, state_part_t, output) in enumerate(views):
        if keep is not None:
            k = torch.lerp(start[t], k, keep[t])
        torch.baddbmm(bias, weight_ih, x_t, out=gates_t)
        rz.baddbmm_(weight_rz, k).sigmoid_()
        torch.baddbmm(bias_n, weight_n, k, out=state_part_t)
        n.addcmul_(r, state_part_t).sigmoid_()
        k = torch.lerp(n, k, z, out=output)
    return k, outputs, gates, state_part


class _Recurrence(torch.autograd.Function):
    """:func:`_forward`: the last state and all of them."""

    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias, bias_n, k, keep, start):
        last, *kept = _forward(
            x, weight_ih, weight_hh, bias, bias_n, k, keep, start, every_step=True, learning=True
        )
        ctx.save_for_backward(x, weight_ih, weight_hh, k, keep, start, *kept)
        # the last one once more: who reads only that pays for no gradient of the others
        ctx.set_materialize_grads(False)
        return last.clone(), kept[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_last, grad_outputs):
        x, weight_ih, weight_hh, first, keep, start, *kept = ctx.saved_tensors
        outputs, gates, state_part = kept
        n_steps, networks, hidden, rows = outputs.shape
        d_x = x.new_empty(n_steps, networks, *x.shape[2:])
        d_weight_ih, d_weight_hh = torch.zeros_like(weight_ih), torch.zeros_like(weight_hh)
        d_all = x.new_empty(networks, 4 * hidden, rows)
        d_hh, d_ih = d_all[:, : 3 * hidden], d_all[:, hidden:]
        d_state_part, d_r, d_z, d_n = d_all.chunk(4, 1)
        d_ih_t = d_ih.transpose(1, 2)
        weight_hh_t = weight_hh.transpose(1, 2)
        d_bias = torch.zeros_like(d_all)
        d_k = torch.zeros_like(first) if grad_last is None else grad_last.clone()
        above = torch.empty_like(d_k)
        carried = [first, *outputs.unbind()]
        gates = (gate.unbind() for gate in gates.chunk(3, 2))
        steps = list(zip(x.unbind(1), d_x.unbind(), *gates, state_part.unbind(), strict=True))
        for t in reversed(range(n_steps)):
            x_t, d_x_t, r, z, n, state_part_t = steps[t]
            if grad_outputs is not None:
                d_k += grad_outputs[t]
            # k' = n + z (k - n), so that k' - n = z (k - n)
            torch.addcmul(d_k, d_k, z, value=-1.0, out=d_n)
            torch.sub(carried[t + 1], n, out=above)
            torch.mul(d_n, above, out=d_z)
            _sigmoid_backward(d_n, n, grad_input=d_n)
            torch.mul(d_n, r, out=d_state_part)
            torch.mul(d_n, state_part_t, out=d_r)
            _sigmoid_backward(d_r, r, grad_input=d_r)
            d_weight_ih.baddbmm_(d_ih, x_t)
            torch.bmm(d_ih_t, weight_ih, out=d_x_t)
            d_bias += d_all
            k = carried[t] if keep is None else torch.lerp(start[t], carried[t], keep[t])
            d_weight_hh.baddbmm_(d_hh, k.transpose(1, 2))
            d_k.mul_(z).baddbmm_(weight_hh_t, d_hh)
            if keep is not None:
                d_k *= keep[t]
        d_bias_n, d_bias = d_bias.sum(-1, keepdim=True).split((hidden, 3 * hidden), 1)
        return d_x.transpose(0, 1), d_weight_ih, d_weight_hh, d_bias, d_bias_n, d_k, None, None
