"""Noise on named features of the agents' observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite, Unbounded
from torchrl.envs.transforms import Transform

__all__ = ["ObservationNoise"]


class ObservationNoise(Transform):
    r"""Adds noise :math:`N(\mathrm{mean}, \mathrm{std}^2)` to features of agents' observations.

    With ``features="enemy_position"`` and ``std=0.75`` it is the StarCraft shift of the paper:
    noise on every enemy's normalised position, independent for each observer, enemy, coordinate and
    step, and in the observation of a reset too. The environment says where these features are and
    what marks an enemy as visible, by its ``feature_index(name)``. State, masks and rewards stay as
    they are, and the noise has a random generator of its own: the battles are those without noise.

    Names are looked up when the environment's specs are; one transform serves one layout. Called on
    stored data, it adds new noise to them, which a replay buffer should not do.

    Args:
        features (str, mapping, or sequence of int or Tensor): a name that the environment's
            ``feature_index`` knows; or what it returns: int64 ``"position"`` ``[m, K]``, the
            features of each of m things, and ``"visible"`` ``[m]``, the feature that is positive
            exactly where that thing is seen; or the indices ``[K]`` alone, which need
            ``visible_only=False``.
        std (float): standard deviation of the noise, in the unit of the features. Default: 0.75.
        in_key (NestedKey): observation ``[*B, n_agents, F]``. Default:
            ``("agents", "observation")``.
        visible_only (bool): leave the features of things that are not seen as they are; with
            ``False`` these get noise too, dead ones and dead observers included. Default: ``True``.
        seed (int, optional): seed of the noise; drawn from torch's generator if ``None``. The noise
            is drawn on the CPU, so that a seed means the same on every device.
        mean (float): mean of the noise, in the unit of the features: what a sensor reads too high.
            Default: 0.

    Raises:
        ValueError: if ``std`` is negative or not finite, ``mean`` is not finite, indices are
            repeated, do not fit the observation or come without visibility where it is needed, or
            the environment does not describe its features.

    Examples:
        >>> import torch
        >>> from torchrl.envs import TransformedEnv
        >>> from torchrl_drigm.envs import SMAXEnv
        >>> from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise
        >>> base_env = SMAXEnv("3s_vs_5z", num_envs=2, seed=0)
        >>> noise = ObservationNoise("enemy_position", std=0.75, visible_only=False, seed=1)
        >>> env = TransformedEnv(base_env, noise)
        >>> noisy = env.reset()["agents", "observation"]
        >>> clean = base_env.set_seed(0) and base_env.reset()["agents", "observation"]
        >>> (noisy != clean).sum((0, 1)).nonzero().flatten()
        tensor([27, 28, 40, 41, 53, 54, 66, 67, 79, 80])
    """

    def __init__(
        self,
        features: str | Mapping[str, Tensor] | Sequence[int] | Tensor = "enemy_position",
        std: float = 0.75,
        in_key: NestedKey = ("agents", "observation"),
        visible_only: bool = True,
        seed: int | None = None,
        mean: float = 0.0,
    ) -> None:
        if not 0 <= std < float("inf"):
            raise ValueError(f"std={std!r} must be finite and at least 0.")
        if not -float("inf") < mean < float("inf"):
            raise ValueError(f"mean={mean!r} must be finite.")
        super().__init__(in_keys=[in_key], out_keys=[in_key])
        self.features = features
        self.std = std
        self.mean = mean
        self.visible_only = visible_only
        self._position = self._visible = None
        if not isinstance(features, str):
            self._set_index(features)
        self.set_seed(seed)

    def set_seed(self, seed: int | None = None) -> None:
        """Starts the noise over from a seed; from one drawn from torch's generator if ``None``."""
        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._generator = torch.Generator().manual_seed(seed)

    def _set_index(self, index: Mapping[str, Tensor] | Sequence[int] | Tensor) -> None:
        visible = None
        if isinstance(index, Mapping):
            index, visible = index["position"], index.get("visible")
        position = torch.as_tensor(index).cpu()
        if position.is_floating_point() or position.dtype == torch.bool or not position.numel():
            raise ValueError(
                f"features must be indices, at least one; received {position.dtype} of shape "
                f"{tuple(position.shape)}."
            )
        if position.unique().numel() < position.numel():
            raise ValueError(f"features={position.tolist()} must not repeat an index.")
        if self.visible_only:
            if visible is None:
                raise ValueError(
                    "visible_only=True needs to know what marks a thing as visible: pass features "
                    "as a name or as {'position': [m, K], 'visible': [m]}, or visible_only=False."
                )
            visible = torch.as_tensor(visible).cpu()
            if position.ndim != 2 or visible.shape != position.shape[:1]:
                raise ValueError(
                    "features: expected 'position' [m, K] and 'visible' [m]; received "
                    f"{tuple(position.shape)} and {tuple(visible.shape)}."
                )
            # [m] -> [m * K]: the mark of each position feature
            self._visible = visible.unsqueeze(-1).expand_as(position).flatten()
        self._position = position.flatten()

    def _resolve(self) -> None:
        if not isinstance(self.features, str) or self._position is not None:
            return
        env = self.parent
        env = getattr(env, "base_env", env)
        feature_index = getattr(env, "feature_index", None)
        if feature_index is None:
            name = "no environment" if env is None else type(env).__name__
            raise ValueError(
                f"features={self.features!r} cannot be found: {name} has no feature_index(name). "
                "Append the transform to an environment that describes its features, such as "
                "SMAXEnv, or pass indices."
            )
        self._set_index(feature_index(self.features))

    def _apply_transform(self, observation: Tensor) -> Tensor:
        self._resolve()
        shape = (*observation.shape[:-1], self._position.numel())
        noise = torch.randn(shape, generator=self._generator).mul_(self.std).add_(self.mean)
        noise = noise.to(observation)
        if self._visible is not None:
            noise = noise * (observation[..., self._visible] > 0)
        # out of place: the environment may share the observation's memory
        return observation.index_add(-1, self._position.to(observation.device), noise)

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # drawn for every row: the environment keeps the old entries of rows that are not reset
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Noise leaves every bound; also checks that the features are there."""
        self._resolve()
        spec = observation_spec[self.in_keys[0]]
        indices = (
            self._position
            if self._visible is None
            else self._position.new_tensor([*self._position.tolist(), *self._visible.tolist()])
        )
        if indices.min() < 0 or indices.max() >= spec.shape[-1]:
            raise ValueError(
                f"features: indices from {indices.min()} to {indices.max()} do not fit the "
                f"{spec.shape[-1]} features of {self.in_keys[0]!r}."
            )
        observation_spec[self.in_keys[0]] = Unbounded(
            spec.shape, dtype=spec.dtype, device=spec.device
        )
        return observation_spec

    def get_extra_state(self) -> Tensor:
        """State of the random generator, for the state dict."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Restores the state of the random generator."""
        self._generator.set_state(state.cpu())
