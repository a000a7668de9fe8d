"""Seeds of battles: no test battle is trained on, and runs share no battles."""

from __future__ import annotations

import numpy as np

__all__ = ["battle_seeds"]

PURPOSES = ("train", "test")


def battle_seeds(purpose: str, *seed: int, n: int = 1) -> list[int]:
    """Seeds of ``n`` simulators that are all made from one seed of a config.

    NumPy's ``SeedSequence`` spreads what it is given over 30 bits; the lowest bit of the result is
    the purpose. So seeds to train with are even and seeds to test with are odd, whatever seeds and
    numbers of simulators there are: no test battle is ever trained on. Two runs that differ in
    their seed share none, but by a chance of ``n² / 2³⁰``.

    Args:
        purpose (str): ``"train"`` or ``"test"``.
        *seed (int): a config's seed, and what else tells the battles apart, such as the number of
            frames that were trained on.
        n (int): number of simulators. Default: 1. More of them begin with the same seeds.

    Returns:
        list of int: in [0, 2³¹), which StarCraft II, JAX, NumPy and torch all take.

    Raises:
        ValueError: for another purpose or a negative seed.

    Examples:
        >>> battle_seeds("train", 0, n=3)
        [1484405854, 1838574578, 372825380]
        >>> battle_seeds("test", 11, 10_000)
        [356022699]
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose={purpose!r} must be one of {list(PURPOSES)}.")
    if min(seed) < 0:
        raise ValueError(f"seed={list(seed)} must have no negative number: give another seed.")
    words = np.random.SeedSequence(seed).generate_state(n)
    return [(int(word) >> 2) << 1 | PURPOSES.index(purpose) for word in words]
