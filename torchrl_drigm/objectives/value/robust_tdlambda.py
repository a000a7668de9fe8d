"""λ-returns over uncertainty sets.

Axes: ``*B`` batch, ``T`` time.
"""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.common import AUTO_LOSS_MASK_KEYS
from torchrl.objectives.value import TDLambdaEstimator
from torchrl.objectives.value.functional import (
    td_lambda_return_estimate,
    vec_td_lambda_return_estimate,
)

from torchrl_drigm.objectives._batch import (
    as_bool,
    cut_before_masked,
    inspects,
    time_dim_of,
    valid_steps,
)
from torchrl_drigm.objectives.value._checks import check_gamma, check_lmbda
from torchrl_drigm.objectives.value._over_a_set import OverASet
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = ["RobustTDLambda"]


class RobustTDLambda(OverASet, TDLambdaEstimator):
    r"""Robust TD(:math:`\lambda`) target over an uncertainty set.

    With :math:`b` the backup of one sample at the learned dual numbers,

    .. math::
        G_t = r_t + \gamma\left[b(V'_{t+1}) + \lambda c_{t+1} (G_{t+1} - V'_{t+1})\right],\quad
        c_{t+1} = \min(1, b'(V'_{t+1})),

    and over a set that is joint with the reward
    :math:`G_t = b(r_t + \gamma V'_{t+1}) + \gamma\lambda c_{t+1} (G_{t+1} - V'_{t+1})`, with
    :math:`b'` where :math:`b` is. What follows a step enters by its surprise alone, whose mean
    after greedy actions is 0 at the fixed point of one-step targets, whatever is known by then the
    coefficient is made of: that fixed point is the one of every :math:`\lambda`. (After others its
    mean is what they lose, as with every λ-return of Q-learning.) The slope :math:`b'` is the
    density of the worst distribution with respect to the nominal one. A coefficient that does not
    exceed it weighs nothing negatively, and one that does not exceed 1 lets no product of densities
    grow, as in Retrace (Munos et al., 2016).

    Where :math:`b(V') = a V' + d` this is :math:`r_t + \gamma\,b((1-\lambda) V'_{t+1} + \lambda
    G_{t+1})`, TorchRL's own :math:`\lambda`-return with discount :math:`\gamma a` and reward
    :math:`r + \gamma d` (joint with the reward: :math:`a r + d`). For contamination these are
    :math:`\gamma(1-\rho)` and :math:`r + \gamma\rho v`.

    A step masked out by ``("collector", "mask")`` counts nowhere: a trajectory that it follows is
    cut there, and bootstraps from its last next value.

    Args:
        uncertainty (UncertaintySet): the set, with a number for a ``worst_value``.

    Keyword Args:
        gamma (float): discount factor, in [0, 1].
        lmbda (float): trajectory discount, in [0, 1].
        value_network (TensorDictModule, optional): computes the team value.
        dual_network (TensorDictModule, optional): as in :class:`RobustTD0`.
        vectorized (bool): whether to use TorchRL's vectorised return where the backup is affine.
            Defaults to ``True``.
        **kwargs: ``differentiable``, ``skip_existing``, ``shifted``, ``device``, ``time_dim`` and
            the chunking arguments of :class:`~torchrl.objectives.value.TDLambdaEstimator`.

    Attributes:
        uncertainty, rho, worst_value: as in :class:`RobustTD0`.

    Raises:
        ValueError: if the set cannot be learned from samples, or ``gamma`` or ``lmbda`` is outside
            [0, 1]; in use, for data without a dimension of time or of a multi-step transform.
        TypeError: as :class:`RobustTD0` does.

    Examples:
        >>> from tensordict import TensorDict
        >>> from torchrl_drigm.uncertainty import Contamination, TotalVariation
        >>> estimator = RobustTDLambda(
        ...     Contamination(rho=0.5, worst_value=0.0), gamma=0.5, lmbda=1.0
        ... )
        >>> flags = torch.zeros(1, 2, 1, dtype=torch.bool)
        >>> data = TensorDict(
        ...     {"next": {"reward": torch.ones(1, 2, 1), "done": flags, "terminated": flags}},
        ...     [1, 2],
        ... )
        >>> next_value = torch.full((1, 2, 1), 4.0)
        >>> estimator.value_estimate(data, next_value=next_value).flatten()
        tensor([1.5000, 2.0000])
        >>> tv = TotalVariation(rho=0.5, worst_value=0.0)
        >>> estimator = RobustTDLambda(tv, gamma=0.5, lmbda=1.0)
        >>> dual_value = torch.tensor([[[4.5], [4.0]]])  # of the first step above its next value
        >>> estimator.value_estimate(data, next_value=next_value, dual_value=dual_value).flatten()
        tensor([0.8750, 2.0000])
    """

    def __init__(
        self,
        uncertainty: UncertaintySet,
        *,
        gamma: float | Tensor,
        lmbda: float | Tensor,
        value_network: TensorDictModuleBase | None = None,
        dual_network: TensorDictModuleBase | None = None,
        **kwargs,
    ) -> None:
        self._refuse_others(kwargs)
        super().__init__(
            gamma=check_gamma(gamma),
            lmbda=check_lmbda(lmbda),
            value_network=value_network,
            **kwargs,
        )
        self._own_dual_network(dual_network)
        self._own_set(uncertainty)

    def value_estimate(
        self,
        tensordict: TensorDictBase,
        target_params: TensorDictBase | None = None,
        next_value: Tensor | None = None,
        time_dim: int | None = None,
        dual_value: Tensor | None = None,
        **kwargs,
    ) -> Tensor:
        r"""Robust :math:`\lambda`-return.

        Args:
            tensordict (TensorDictBase): ``[*B, T]``.
            target_params (TensorDictBase, optional): parameters for the value network.
            next_value (Tensor, optional): ``[*B, T, 1]``; computed where it is not given.
            time_dim (int, optional): dimension of time. Defaults to the one named ``"time"``, or
                the last of at least two batch dimensions.
            dual_value (Tensor, optional): ``[*B, T, n_duals]``; computed by ``dual_network`` where
                the set has duals and it is not given.
            **kwargs: unused; for TorchRL's signature.

        Returns:
            Tensor ``[*B, T, 1]``.
        """
        if next_value is None:
            next_value = self._next_value(tensordict, target_params, kwargs=kwargs)
        dual_value = self._dual_value(tensordict, dual_value)
        keys = self.tensor_keys
        reward = tensordict.get(("next", keys.reward))
        done = as_bool(keys.done, tensordict.get(("next", keys.done)))
        terminated = as_bool(keys.terminated, tensordict.get(("next", keys.terminated), done))
        time_dim = self._time_dim(tensordict, reward, time_dim)
        valid = valid_steps(tensordict, AUTO_LOSS_MASK_KEYS, reward.shape[:-1])
        if valid is not None:
            done = done | cut_before_masked(valid, time_dim).unsqueeze(-1)
            reward, next_value, dual_value = (
                x if x is None else torch.where(valid.unsqueeze(-1), x, torch.zeros_like(x))
                for x in (reward, next_value, dual_value)
            )
        # where, not TorchRL's product: a masked-out terminal value may be -inf, and 0 * inf is nan.
        next_value = torch.where(terminated, torch.zeros_like(next_value), next_value)
        if not self.uncertainty.is_affine:
            return self._return_of_surprises(reward, next_value, dual_value, done, time_dim)
        gamma, lmbda = self.gamma.to(reward.device), self.lmbda.to(reward.device)
        scale, shift = self.uncertainty.affine()
        if self.uncertainty.joint_with_reward:
            reward = scale * reward + shift
        else:
            reward = reward + gamma * shift
        vectorized = self.vectorized
        if vectorized and inspects() and not (gamma * lmbda * scale).all():
            vectorized = False  # TorchRL's has no series to sum, and raises
        lambda_return = vec_td_lambda_return_estimate if vectorized else td_lambda_return_estimate
        return lambda_return(
            gamma * scale,
            lmbda,
            next_value,
            reward,
            done=done,
            terminated=terminated,
            time_dim=time_dim,
        )

    def _return_of_surprises(
        self,
        reward: Tensor,
        outcome: Tensor,
        dual_value: Tensor | None,
        done: Tensor,
        time_dim: int,
    ) -> Tensor:
        """The return of a set whose backup is not affine; ``outcome`` is 0 where terminal."""
        gamma, lmbda = self.gamma.to(reward.device), self.lmbda.to(reward.device)
        if self.uncertainty.joint_with_reward:
            over = reward + gamma * outcome
            one_step = self.robust_value(over, dual_value)
        else:
            over = outcome
            one_step = reward + gamma * self.robust_value(over, dual_value)
        keep = gamma * lmbda * self.uncertainty.slope(over, dual_value).clamp(0.0, 1.0)
        keep = torch.where(done, torch.zeros_like(keep), keep)
        # TorchRL's returns take a discount per step as well, in ten times as long
        following, returns = outcome.select(time_dim, -1), []
        steps = (x.unbind(time_dim)[::-1] for x in (one_step, keep, outcome))
        for now, kept, expected in zip(*steps, strict=True):
            following = torch.addcmul(now, kept, following - expected)
            returns.append(following)
        return torch.stack(returns[::-1], time_dim)

    def _time_dim(self, tensordict: TensorDictBase, reward: Tensor, time_dim: int | None) -> int:
        """Dimension of time among those of the reward ``[*B, T, 1]``, from 0."""
        if tensordict.get(self.tensor_keys.steps_to_next_obs, None) is not None:
            raise ValueError(
                f"{type(self).__name__} computes its own returns of several steps, and the data "
                f"carries '{self.tensor_keys.steps_to_next_obs}' of a multi-step transform. Remove "
                "MultiStep, or take one-step targets, without lmbda."
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
                "one-step targets, without lmbda."
            )
        return time_dim_of(tensordict, reward.shape[:-1])
