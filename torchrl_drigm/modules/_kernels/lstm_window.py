"""An LSTM over a window, from a state of zeros to its last state, in a form for compilers.

Axes: ``T`` time, ``A`` networks, ``N`` rows, ``F`` input features, ``H`` hidden units.

A compiler fuses what is between the matrix products, but takes these as they come, and the gradient
of a loop over time has four small ones at every step. Here the input and the carried state stand
side by side: one product a step forward, one backward, and one for all weights over all steps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torchrl_drigm.modules._kernels.basic import tanh

__all__ = ["lstm_window"]


def lstm_window(
    x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """State of an LSTM after the last step of a window.

    Args:
        x (Tensor): ``[A, T, N, F]``.
        weight_ih (Tensor): ``[A, 4H, F]``.
        weight_hh (Tensor): ``[A, 4H, H]``.
        bias (Tensor): sum of both biases, ``[A, 4H]``.

    Returns:
        tuple: ``h`` and ``c``, ``[A, N, H]`` each.
    """
    return _Window.apply(x, weight_ih, weight_hh, bias)


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight_ih, weight_hh, bias):
        size = x.shape[-1]
        weight = torch.cat([weight_ih, weight_hh], -1)
        bias = bias.unsqueeze(1)
        first = x.new_zeros(x.shape[0], x.shape[2], weight_hh.shape[-1])
        inputs, gates, cells = [], [], []
        h = c = None
        for x_t in x.unbind(1):
            inputs.append(torch.cat([x_t, first if h is None else h], -1))
            if h is None:
                pre = torch.bmm(x_t, weight_ih.transpose(1, 2)) + bias
            else:
                pre = torch.bmm(inputs[-1], weight.transpose(1, 2)) + bias
            i, f, g, o = pre.chunk(4, -1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), tanh(g), o.sigmoid()
            c = i * g if c is None else torch.addcmul(i * g, f, c)
            h = o * tanh(c)
            gates += [i, f, g, o]
            cells.append(c)
        ctx.size = size
        ctx.save_for_backward(weight, *inputs, *cells, *gates)
        return h, c

    @staticmethod
    @once_differentiable
    def backward(ctx, d_h, d_c):
        size = ctx.size
        weight, *kept = ctx.saved_tensors
        n_steps = len(kept) // 6
        inputs, cells, gates = kept[:n_steps], kept[n_steps : 2 * n_steps], kept[2 * n_steps :]
        d_gates, d_x = [], []
        for t in reversed(range(n_steps)):
            i, f, g, o = gates[4 * t : 4 * t + 4]
            squashed = tanh(cells[t])
            d_o = d_h * squashed * o * (1.0 - o)
            d_c = d_c + d_h * o * (1.0 - squashed * squashed)
            d_i = d_c * g * i * (1.0 - i)
            d_f = d_c * cells[t - 1] * f * (1.0 - f) if t else torch.zeros_like(d_i)
            d_g = d_c * i * (1.0 - g * g)
            d_gates.append(torch.cat([d_i, d_f, d_g, d_o], -1))
            if t:
                d_input = torch.bmm(d_gates[-1], weight)
                d_x.append(d_input[..., :size])
                d_h, d_c = d_input[..., size:], d_c * f
            else:
                d_x.append(torch.bmm(d_gates[-1], weight[..., :size]))
        d_gates = torch.stack(d_gates[::-1], 1).flatten(1, 2)  # [A, T * N, 4H]
        d_weight = torch.bmm(d_gates.transpose(1, 2), torch.stack(inputs, 1).flatten(1, 2))
        d_x = torch.stack(d_x[::-1], 1)
        return d_x, d_weight[..., :size], d_weight[..., size:], d_gates.sum(1)
