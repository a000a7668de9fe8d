"""Batched environments with random numbers of their own, which a state dict takes along."""

import torch
from torch import Tensor
from torchrl.envs import EnvBase


class SeededEnv(EnvBase):
    """An environment whose random numbers and buffers of the episode a state dict restores.

    A subclass names the buffers of the episode in ``_episode``.
    """

    _episode: tuple[str, ...]
    _generator: torch.Generator

    def _set_seed(self, seed: int | None) -> None:
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def get_extra_state(self) -> Tensor:
        """State of the random generator, for the state dict."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Restores the state of the random generator."""
        self._generator.set_state(state.cpu())

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        # Loading writes in place; what was handed out before (day, a state dict) must not change.
        for name in self._episode:
            setattr(self, name, getattr(self, name).clone())
        super()._load_from_state_dict(*args, **kwargs)
