"""Torch's global random numbers, one stream for each of several runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["Streams"]


class Streams:
    """What each run would draw from torch's generator of the CPU if it were alone.

    Args:
        states (list of Tensor): of :func:`torch.get_rng_state`, one of each run.

    Examples:
        >>> def state(seed):
        ...     return torch.manual_seed(seed).get_state()
        >>> streams = Streams([state(0), state(1)])
        >>> drawn = []
        >>> for run in (0, 1, 0):
        ...     with streams.of(run):
        ...         drawn.append(torch.rand(1))
        >>> _ = torch.manual_seed(0)
        >>> torch.equal(torch.cat([drawn[0], drawn[2]]), torch.cat([torch.rand(1), torch.rand(1)]))
        True
    """

    def __init__(self, states: list[Tensor]) -> None:
        self.states = states

    @contextmanager
    def of(self, run: int) -> Iterator[None]:
        """Draw from the stream of a run."""
        torch.set_rng_state(self.states[run])
        try:
            yield
        finally:
            self.states[run] = torch.get_rng_state()
