"""λ-returns over the uncertainty sets whose backup is affine.

Axes: ``*B`` batch, ``T`` time.
"""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.common import AUTO_LOSS_MASK_KEYS
from torchrl.objectives.utils import register_value_estimator
from torchrl.objectives.value import TDLambdaEstimator
from torchrl.objectives.value.functional import (
    td_lambda_return_estimate,
    vec_td_lambda_return_estimate,
)

from torchrl_drigm.objectives._batch import as_bool, cut_before_masked, time_dim_of, valid_steps
from torchrl_drigm.objectives.value._checks import (
    check_gamma,
    check_lmbda,
    resolve_worst_value,
)
from torchrl_drigm.objectives.value.robust import RobustTD0Estimator, RobustValueEstimators

__all__ = ["ContaminationTDLambdaEstimator"]


@register_value_estimator(
    RobustValueEstimators.CONTAMINATION_TDLAMBDA,
    default_kwargs={"gamma": 0.99, "lmbda": 0.95, "rho": 0.0, "differentiable": True},
)
class ContaminationTDLambdaEstimator(TDLambdaEstimator):
    r"""TD(:math:`\lambda`) target over a :math:`\rho`-contamination set.

    The contamination backup is affine, so
    :math:`G_t = r_t + \gamma\,\sigma((1-\lambda) V'_{t+1} + \lambda G_{t+1})` is TorchRL's own
    :math:`\lambda`-return with discount :math:`\gamma(1-\rho)` and reward :math:`r + \gamma\rho v`.

    A step masked out by ``("collector", "mask")`` counts nowhere: a trajectory that it follows is
    cut there, and bootstraps from its last next value.

    Keyword Args:
        gamma (float): discount factor, in [0, 1].
        lmbda (float): trajectory discount, in [0, 1].
        rho (float): size of the uncertainty set, in [0, 1]. Defaults to 0.
        worst_value (float, optional): worst value over all states. Defaults to 0.
        reward_lower_bound (float, optional): in place of ``worst_value``; see
            :class:`RobustTD0Estimator`.
        value_network (TensorDictModule): computes the team value.
        vectorized (bool): whether to use TorchRL's vectorised return. Defaults to ``True``.
        **kwargs: ``differentiable``, ``skip_existing``, ``shifted``, ``device``, ``time_dim`` and
            the chunking arguments of :class:`~torchrl.objectives.value.TDLambdaEstimator`.

    Raises:
        ValueError: if ``rho``, ``gamma`` or ``lmbda`` is outside [0, 1], or the worst value is not
            finite; in use, for data without a dimension of time or of a multi-step transform.

    Examples:
        >>> from tensordict import TensorDict
        >>> estimator = ContaminationTDLambdaEstimator(
        ...     gamma=0.5, lmbda=1.0, rho=0.5, value_network=None
        ... )
        >>> flags = torch.zeros(1, 2, 1, dtype=torch.bool)
        >>> data = TensorDict(
        ...     {"next": {"reward": torch.ones(1, 2, 1), "done": flags, "terminated": flags}},
        ...     [1, 2],
        ... )
        >>> estimator.value_estimate(data, next_value=torch.full((1, 2, 1), 4.0)).flatten()
        tensor([1.5000, 2.0000])
    """

    has_dual: bool = False

    def __init__(
        self,
        *,
        gamma: float | Tensor,
        lmbda: float | Tensor,
        rho: float = 0.0,
        worst_value: float | None = None,
        reward_lower_bound: float | None = None,
        value_network: TensorDictModuleBase | None,
        **kwargs,
    ) -> None:
        if "average_rewards" in kwargs:
            raise TypeError(
                "average_rewards is not supported by robust estimators: standardised rewards move "
                "the worst value with every batch. Use the RewardScaling transform."
            )
        super().__init__(
            gamma=check_gamma(gamma),
            lmbda=check_lmbda(lmbda),
            value_network=value_network,
            **kwargs,
        )
        self.rho = rho
        self.worst_value = resolve_worst_value(gamma, worst_value, reward_lower_bound)

    rho = RobustTD0Estimator.rho

    def value_estimate(
        self,
        tensordict: TensorDictBase,
        target_params: TensorDictBase | None = None,
        next_value: Tensor | None = None,
        time_dim: int | None = None,
        **kwargs,
    ) -> Tensor:
        r"""Robust :math:`\lambda`-return.

        Args:
            tensordict (TensorDictBase): ``[*B, T]``.
            target_params (TensorDictBase, optional): parameters for the value network.
            next_value (Tensor, optional): ``[*B, T, 1]``; computed where it is not given.
            time_dim (int, optional): dimension of time. Defaults to the one named ``"time"``, or
                the last of at least two batch dimensions.
            **kwargs: unused; for TorchRL's signature.

        Returns:
            Tensor ``[*B, T, 1]``.
        """
        if next_value is None:
            next_value = self._next_value(tensordict, target_params, kwargs=kwargs)
        keys = self.tensor_keys
        reward = tensordict.get(("next", keys.reward))
        done = as_bool(keys.done, tensordict.get(("next", keys.done)))
        terminated = as_bool(keys.terminated, tensordict.get(("next", keys.terminated), done))
        time_dim = self._time_dim(tensordict, reward, time_dim)
        valid = valid_steps(tensordict, AUTO_LOSS_MASK_KEYS, reward.shape[:-1])
        if valid is not None:
            done = done | cut_before_masked(valid, time_dim).unsqueeze(-1)
            reward, next_value = (
                torch.where(valid.unsqueeze(-1), x, torch.zeros_like(x))
                for x in (reward, next_value)
            )
        gamma, lmbda = self.gamma.to(reward.device), self.lmbda.to(reward.device)
        lambda_return = (
            vec_td_lambda_return_estimate if self.vectorized else td_lambda_return_estimate
        )
        return lambda_return(
            gamma * (1.0 - self.rho),
            lmbda,
            next_value,
            reward + gamma * (self.rho * self.worst_value),
            done=done,
            terminated=terminated,
            time_dim=time_dim,
        )

    def _time_dim(self, tensordict: TensorDictBase, reward: Tensor, time_dim: int | None) -> int:
        """Dimension of time among those of the reward ``[*B, T, 1]``, from 0."""
        if tensordict.get(self.tensor_keys.steps_to_next_obs, None) is not None:
            raise ValueError(
                f"{type(self).__name__} computes its own returns of several steps, and the data "
                f"carries '{self.tensor_keys.steps_to_next_obs}' of a multi-step transform. Remove "
                "MultiStep, or take 'contamination_td0'."
            )
        time_dim = self.time_dim if time_dim is None else time_dim
        if time_dim is not None:
            return time_dim % (reward.ndim - 1)
        names = tensordict.names if tensordict.ndim else []
        if "time" not in names and reward.ndim < 3:
            raise ValueError(
                f"{type(self).__name__} needs sequences [*B, T], and the reward has shape "
                f"{tuple(reward.shape)}: single transitions in any order have no following step. "
                "Sample slices of trajectories, name the dimension (td.names = ['time']), or take "
                "'contamination_td0'."
            )
        return time_dim_of(tensordict, reward.shape[:-1])
