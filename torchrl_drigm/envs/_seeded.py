"""Batched environments with random numbers of their own, which a state dict takes along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchrl.envs import EnvBase


class SeededEnv(EnvBase):
    """An environment whose random numbers and buffers of the episode a state dict restores.

    A subclass names the buffers of the episode in ``_episode``, each with the copies first.
    """

    _episode: tuple[str, ...]
    # one for each of as many equal blocks of copies
    _generators: tuple[torch.Generator, ...]

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generators = (torch.Generator().manual_seed(seed),)

    def _random(self, kind: Callable[..., Tensor], *shape: int, **kwargs) -> Tensor:
        """Random numbers of all copies, ``[B, *shape]``; the same ones on every device."""
        size = (self.batch_size.numel() // len(self._generators), *shape)
        drawn = [kind(size, generator=generator, **kwargs) for generator in self._generators]
        every = drawn[0] if len(drawn) == 1 else torch.cat(drawn)
        return every if self.device is None else every.to(self.device)

    def go_on_from(self, envs: Sequence[SeededEnv]) -> None:
        """Take the place of several environments of this kind, each a block of the copies."""
        for name in self._episode:
            setattr(self, name, torch.cat([getattr(env, name) for env in envs]))
        self._generators = tuple(g.clone_state() for env in envs for g in env._generators)
        self._has_moved()

    def hand_over_to(self, envs: Sequence[SeededEnv]) -> None:
        """The reverse: each of them goes on where its block of the copies is."""
        for name in self._episode:
            for env, block in zip(envs, getattr(self, name).chunk(len(envs)), strict=True):
                setattr(env, name, block.clone())
        for env, generator in zip(envs, self._generators, strict=True):
            env._generators = (generator.clone_state(),)
            env._has_moved()

    def _has_moved(self) -> None:
        """What follows from the buffers of the episode, after they were exchanged."""

    def get_extra_state(self) -> Tensor:
        """State of the random generator, for the state dict."""
        return self._generators[0].get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Restores the state of the random generator."""
        self._generators[0].set_state(state.cpu())

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        # Loading writes in place; what was handed out before (day, a state dict) must not change.
        for name in self._episode:
            setattr(self, name, getattr(self, name).clone())
        super()._load_from_state_dict(*args, **kwargs)
        self._has_moved()
