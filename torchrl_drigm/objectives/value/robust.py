"""One-step robust value estimators: thin, over an uncertainty set.

A new set needs nothing here: see :mod:`torchrl_drigm.uncertainty`.
"""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.value import TD0Estimator

from torchrl_drigm.objectives.value._checks import check_gamma
from torchrl_drigm.objectives.value._over_a_set import OverASet
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = ["RobustTD0"]


class RobustTD0(OverASet, TD0Estimator):
    r"""One-step robust target :math:`y = r + \gamma\,\sigma(V')` over an uncertainty set.

    ``V' = (1 - terminated) Q_tot(s', a'; θ⁻)`` goes inside :math:`\sigma`: a terminal next state is
    an outcome of value 0 and nothing is masked afterwards. Truncation is no termination.

    On data of a ``MultiStep`` transform, which works with sets whose backup is affine,
    ``scale * V' + shift``, the transform's own ``gamma`` must be :math:`\gamma` times ``scale``
    (:math:`\gamma(1-\rho)` for contamination), since it discounts the rewards in between. Sets with
    duals need every reward by itself: :class:`RobustTDLambda` is their estimator of several steps.

    Args:
        uncertainty (UncertaintySet): the set, with a number for a ``worst_value``.

    Keyword Args:
        gamma (float): discount factor, in [0, 1].
        value_network (TensorDictModule, optional): computes the team value. A loss passes the next
            values instead.
        dual_network (TensorDictModule, optional): computes the dual numbers ``[*B, n_duals]`` of
            sets that have some. A loss that owns the network passes its output instead.
        **kwargs: ``shifted``, ``differentiable``, ``skip_existing``, ``device`` and the chunking
            arguments of :class:`~torchrl.objectives.value.TD0Estimator`.

    Attributes:
        uncertainty (UncertaintySet): the set; assigning another one takes effect at once.
        rho, worst_value (float): those of the set; assigning them replaces it.

    Raises:
        ValueError: if ``gamma`` is outside [0, 1], or the set cannot be learned from samples.
        TypeError: for what is no set, and hyper-parameters that belong to the set.

    Examples:
        >>> from tensordict import TensorDict
        >>> from torchrl_drigm.uncertainty import Contamination, TotalVariation
        >>> estimator = RobustTD0(Contamination(rho=0.2, worst_value=-10.0), gamma=0.5)
        >>> data = TensorDict(
        ...     {"next": {"reward": torch.ones(2, 1), "done": torch.zeros(2, 1, dtype=torch.bool),
        ...               "terminated": torch.tensor([[False], [True]])}}, [2]
        ... )
        >>> next_value = torch.full((2, 1), 4.0)
        >>> estimator.value_estimate(data, next_value=next_value)
        tensor([[1.6000],
                [0.0000]])
        >>> estimator.rho = 0.0
        >>> estimator.value_estimate(data, next_value=next_value)
        tensor([[3.],
                [1.]])
        >>> estimator = RobustTD0(TotalVariation(rho=0.2, worst_value=-10.0), gamma=0.5)
        >>> dual_value = next_value  # the best one where the next state is certain
        >>> estimator.value_estimate(data, next_value=next_value, dual_value=dual_value)
        tensor([[ 1.6000],
                [-0.4000]])
    """

    def __init__(
        self,
        uncertainty: UncertaintySet,
        *,
        gamma: float | Tensor,
        value_network: TensorDictModuleBase | None = None,
        dual_network: TensorDictModuleBase | None = None,
        **kwargs,
    ) -> None:
        self._refuse_others(kwargs)
        super().__init__(gamma=check_gamma(gamma), value_network=value_network, **kwargs)
        self._own_dual_network(dual_network)
        self._own_set(uncertainty)

    def value_estimate(
        self,
        tensordict: TensorDictBase,
        target_params: TensorDictBase | None = None,
        next_value: Tensor | None = None,
        dual_value: Tensor | None = None,
        **kwargs,
    ) -> Tensor:
        """Robust TD target.

        Args:
            tensordict (TensorDictBase): ``[*B]``, with the reward and the end-of-episode flags
                under ``"next"``.
            target_params (TensorDictBase, optional): parameters for the value network.
            next_value (Tensor, optional): ``[*B, 1]``; computed where it is not given.
            dual_value (Tensor, optional): ``[*B, n_duals]``; computed by ``dual_network`` where
                the set has duals and it is not given.
            **kwargs: unused; for TorchRL's signature.

        Returns:
            Tensor ``[*B, 1]``.
        """
        if next_value is None:
            next_value = self._next_value(tensordict, target_params, kwargs=kwargs)
        dual_value = self._dual_value(tensordict, dual_value)
        steps = tensordict.get(self.tensor_keys.steps_to_next_obs, None)
        if steps is not None:
            return self._n_step_target(tensordict, next_value, steps)
        worst = self.robust_value(self.outcome_value(tensordict, next_value), dual_value)
        if self.uncertainty.joint_with_reward:
            return worst
        reward = tensordict.get(("next", self.tensor_keys.reward))
        return reward + self.gamma.to(reward.device) * worst

    def _n_step_target(
        self, tensordict: TensorDictBase, next_value: Tensor, steps: Tensor
    ) -> Tensor:
        if not self.uncertainty.is_affine:
            raise ValueError(
                f"{type(self).__name__} over {self.uncertainty!r} is a one-step estimator, and the "
                f"data carries '{self.tensor_keys.steps_to_next_obs}' of a multi-step transform, "
                "whose rewards are summed already. Remove MultiStep; several steps of this set are "
                "λ-returns on sequences, by lmbda or RobustTDLambda."
            )
        reward = tensordict.get(("next", self.tensor_keys.reward))
        steps, gamma = steps.view_as(reward), self.gamma.to(reward.device)
        # n affine backups are a geometric series
        scale, shift = self.uncertainty.affine()
        keep = gamma * scale
        joint = self.uncertainty.joint_with_reward
        if joint:
            reward = scale * reward
        target = reward + keep**steps * self._where_not_terminal(tensordict, next_value)
        if shift == 0.0:
            return target
        series = torch.where(keep == 1.0, steps, (1 - keep**steps) / (1 - keep))
        return target + (shift if joint else gamma * shift) * series
