"""Readings of a sensor that do not arrive."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite
from torchrl.envs.transforms import Transform
from torchrl.envs.transforms.utils import _get_reset

__all__ = ["DroppedReading"]


class DroppedReading(Transform):
    """Now and then leaves the last reading of a sensor standing.

    At each step each agent's reading is missing with the probability ``rate``, all ``features`` of
    it at once; the last one that arrived then stands in its place. The first reading of an episode
    always arrives. Put it after what changes readings themselves, such as
    :class:`~torchrl_drigm.envs.transforms.ObservationNoise`. State and rewards stay as they are.

    Random numbers come from a generator of its own, on the CPU: a seed means the same on every
    device and for every team.

    Args:
        rate (float): probability that a reading is missing, in [0, 1].
        features (sequence of int): the features of the observation that the sensor gives.
        in_key (NestedKey): observation ``[*B, n_agents, F]``. Default:
            ``("agents", "observation")``.
        seed (int, optional): drawn from torch's generator if ``None``.

    Raises:
        ValueError: naming the argument, for a rate that is no probability, or features that are
            none of the observation's.

    Examples:
        >>> from torchrl.envs import TransformedEnv
        >>> from torchrl_drigm.envs import HarvestEnv
        >>> from torchrl_drigm.envs.transforms import DroppedReading
        >>> env = TransformedEnv(HarvestEnv(num_envs=2), DroppedReading(1.0, [0], seed=0))
        >>> seen = env.rollout(3)["next", "agents", "observation"]
        >>> seen[..., 0].unique()  # the start, ever after
        tensor([1.])
    """

    def __init__(
        self,
        rate: float,
        features: Sequence[int],
        in_key: NestedKey = ("agents", "observation"),
        seed: int | None = None,
    ) -> None:
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
            raise ValueError(f"rate={rate!r} must be a probability, in [0, 1].")
        features = list(features)
        if not features or len(set(features)) < len(features):
            raise ValueError(f"features={features} must be indices, at least one, each once.")
        super().__init__(in_keys=[in_key], out_keys=[in_key])
        self.rate = rate
        self.features = features
        self._last: Tensor | None = None  # [*B, n_agents, K], the last readings that arrived
        self.set_seed(seed)

    def set_seed(self, seed: int | None = None) -> None:
        """Starts over from a seed; from one drawn from torch's generator if ``None``."""
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        observation = next_tensordict.get(self.in_keys[0])
        reading = observation[..., self.features]
        drawn = torch.rand((*reading.shape[:-1], 1), generator=self._generator)
        lost = (drawn < self.rate).to(reading.device)
        self._last = torch.where(lost, self._last.to(reading.device), reading)
        # out of place: the environment may share the observation's memory
        observation = observation.clone()
        observation[..., self.features] = self._last
        return next_tensordict.set(self.out_keys[0], observation)

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        first = tensordict_reset.get(self.in_keys[0])[..., self.features].clone()
        if self._last is None or self._last.shape != first.shape:
            self._last = first
        else:
            reset = _get_reset(self.parent.reset_keys[0], tensordict)
            # [*B, 1, 1], also where flags have no dimension of their own
            reset = reset.reshape(*self.parent.batch_size, 1, 1)
            self._last = torch.where(reset, first, self._last.to(first.device))
        return tensordict_reset

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Not available: a stored batch does not order its steps."""
        raise NotImplementedError("DroppedReading only runs in an environment.")

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Leaves specs as they are; checks that the features are there."""
        n = observation_spec[self.in_keys[0]].shape[-1]
        if not all(isinstance(f, int) and 0 <= f < n for f in self.features):
            raise ValueError(
                f"features={self.features} do not fit the {n} features of {self.in_keys[0]!r}."
            )
        return observation_spec

    def get_extra_state(self) -> dict[str, Tensor]:
        """State of the random generator and the last readings, for the state dict."""
        state = {"generator": self._generator.get_state()}
        return state if self._last is None else state | {"last": self._last}

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores the random generator and the last readings."""
        self._generator.set_state(state["generator"].cpu())
        self._last = state.get("last")
