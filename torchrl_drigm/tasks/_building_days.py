"""Which days of the year a building is judged on."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw_days"]


def draw_days(low: int, high: int, episodes: int, seed: int) -> Tensor:
    """``[E]`` int64; the same for every shift with the same range of days."""
    generator = torch.Generator().manual_seed(seed)
    if episodes <= high - low:
        return low + torch.randperm(high - low, generator=generator)[:episodes]
    return torch.randint(low, high, (episodes,), generator=generator)
