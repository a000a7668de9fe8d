"""Robust value estimators, registered with TorchRL's own registry of value estimators.

A new uncertainty set needs its functions in ``robust_functional.py``, a subclass of
:class:`RobustTD0Estimator` here, and the :func:`register_value_estimator` decorator with an enum
member; losses accept every estimator of this base class.
"""

from __future__ import annotations

from enum import Enum

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.utils import hold_out_net, register_value_estimator
from torchrl.objectives.value import TD0Estimator

from torchrl_drigm.objectives.value._checks import check_gamma, resolve_worst_value
from torchrl_drigm.objectives.value.robust_functional import (
    check_rho,
    contamination_backup,
    tv_backup,
    tv_dual_objective,
)

__all__ = [
    "ContaminationTD0Estimator",
    "RobustTD0Estimator",
    "RobustValueEstimators",
    "TVTD0Estimator",
]


class RobustValueEstimators(Enum):
    """Robust value estimators, usable wherever TorchRL takes a ``ValueEstimators`` member.

    The lower-case member name is the string alias: ``"contamination_td0"``,
    ``"contamination_tdlambda"``, ``"tv_td0"``.

    Examples:
        >>> [member.name.lower() for member in RobustValueEstimators]
        ['contamination_td0', 'contamination_tdlambda', 'tv_td0']
    """

    CONTAMINATION_TD0 = "TD(0) over a rho-contamination set"
    CONTAMINATION_TDLAMBDA = "TD(lambda) over a rho-contamination set"
    TV_TD0 = "TD(0) over a total-variation ball, with a learned dual"


class RobustTD0Estimator(TD0Estimator):
    r"""Base of the one-step robust estimators: :math:`y = r + \gamma\,\sigma(V')`.

    ``V' = (1 - terminated) Q_tot(s', a'; θ⁻)`` goes inside :math:`\sigma`: a terminal next state is
    an outcome of value 0 and nothing is masked afterwards. Truncation is no termination.

    A subclass gives :meth:`robust_value`, and where its set has a dual sets ``has_dual = True`` and
    gives :meth:`dual_objective`.

    Keyword Args:
        gamma (float): discount factor, in [0, 1].
        rho (float): size of the uncertainty set, in [0, 1]. Defaults to 0, the nominal model.
        worst_value (float, optional): worst value over all states, in units of (scaled) return.
            Defaults to 0, the paper's Assumptions 1 and 2.
        reward_lower_bound (float, optional): lower bound of the team reward per step, in place of
            ``worst_value``, which is then ``reward_lower_bound / (1 - gamma)``.
        value_network (TensorDictModule): computes the team value.
        dual_network (TensorDictModule, optional): computes the dual value of sets that have one.
            A loss that owns the network passes its output instead.
        **kwargs: ``shifted``, ``differentiable``, ``skip_existing``, ``device`` and the chunking
            arguments of :class:`~torchrl.objectives.value.TD0Estimator`.

    Raises:
        ValueError: if ``rho`` or ``gamma`` is outside [0, 1], or the worst value is not finite.
    """

    has_dual: bool = False

    def __init__(
        self,
        *,
        gamma: float | Tensor,
        rho: float = 0.0,
        worst_value: float | None = None,
        reward_lower_bound: float | None = None,
        value_network: TensorDictModuleBase | None,
        dual_network: TensorDictModuleBase | None = None,
        **kwargs,
    ) -> None:
        if "average_rewards" in kwargs:
            raise TypeError(
                "average_rewards is not supported by robust estimators: standardised rewards move "
                "the worst value with every batch. Use the RewardScaling transform."
            )
        super().__init__(gamma=check_gamma(gamma), value_network=value_network, **kwargs)
        # The network stays its owner's: assigned without registering its parameters here.
        self.__dict__["dual_network"] = dual_network
        self.rho = rho
        self.worst_value = resolve_worst_value(gamma, worst_value, reward_lower_bound)

    @classmethod
    def for_loss(cls, loss_module, **hyperparams) -> RobustTD0Estimator:
        """Build the estimator for a loss, with the loss's dual network where the set has a dual."""
        if cls.has_dual:
            hyperparams.setdefault("dual_network", loss_module.dual_network)
        return super().for_loss(loss_module, **hyperparams)

    @property
    def rho(self) -> float:
        """Size of the uncertainty set, in [0, 1]; assigning another value takes effect at once."""
        return self._rho

    @rho.setter
    def rho(self, rho: float) -> None:
        self._rho = check_rho(rho)

    def robust_value(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        r"""Worst case :math:`\sigma(V')` per sample, of the shape of ``next_value``."""
        raise NotImplementedError

    def dual_objective(self, next_value: Tensor, dual_value: Tensor) -> Tensor:
        """Quantity that the dual minimises in the mean, of the shape of ``next_value``."""
        raise NotImplementedError

    def outcome_value(self, tensordict: TensorDictBase, next_value: Tensor) -> Tensor:
        """``V'``: the next value, 0 where the next state is terminal.

        Args:
            tensordict (TensorDictBase): ``[*B]``, with ``("next", "done")`` and, where episodes can
                be cut by time, ``("next", "terminated")``.
            next_value (Tensor): ``[*B, 1]``.

        Returns:
            Tensor ``[*B, 1]``.
        """
        terminated = tensordict.get(("next", self.tensor_keys.terminated), None)
        if terminated is None:
            terminated = tensordict.get(("next", self.tensor_keys.done))
        if terminated.shape != next_value.shape:
            raise ValueError(
                f"the '{self.tensor_keys.terminated}' flag must have the shape of the next value, "
                f"{tuple(next_value.shape)}, got {tuple(terminated.shape)}."
            )
        # where, not a product: a masked-out terminal value may be -inf, and 0 * inf is nan.
        return torch.where(terminated, torch.zeros_like(next_value), next_value)

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
            dual_value (Tensor, optional): ``[*B, 1]``; computed by ``dual_network`` where the set
                has a dual and it is not given.
            **kwargs: unused; for TorchRL's signature.

        Returns:
            Tensor ``[*B, 1]``.
        """
        if next_value is None:
            next_value = self._next_value(tensordict, target_params, kwargs=kwargs)
        if self.has_dual and dual_value is None:
            if self.dual_network is None:
                raise ValueError(
                    f"{type(self).__name__} needs a dual value: pass dual_value, or build the "
                    "estimator with dual_network."
                )
            with hold_out_net(self.dual_network):
                dual_value = self.dual_network(tensordict.copy()).get(self.dual_network.out_keys[0])
        reward = tensordict.get(("next", self.tensor_keys.reward))
        gamma = self.gamma.to(reward.device)
        outcome = self.outcome_value(tensordict, next_value)
        steps = tensordict.get(self.tensor_keys.steps_to_next_obs, None)
        if steps is None:
            return reward + gamma * self.robust_value(outcome, dual_value)
        return self._n_step_target(reward, outcome, steps.view_as(reward), gamma)

    def _n_step_target(
        self, reward: Tensor, outcome: Tensor, steps: Tensor, gamma: Tensor
    ) -> Tensor:
        raise ValueError(
            f"{type(self).__name__} is a one-step estimator, and the data carries "
            f"'{self.tensor_keys.steps_to_next_obs}' of a multi-step transform. Remove MultiStep."
        )


@register_value_estimator(
    RobustValueEstimators.CONTAMINATION_TD0,
    default_kwargs={"gamma": 0.99, "rho": 0.0, "differentiable": True},
)
class ContaminationTD0Estimator(RobustTD0Estimator):
    r"""TD(0) target over a :math:`\rho`-contamination set (Eq. 8, 15).

    .. math::
        y = r + \gamma \left[(1 - \rho) V' + \rho v\right]

    With a constant worst value this is nominal TD(0) with discount :math:`\gamma(1-\rho)` and a
    constant added to the reward. On data of a ``MultiStep`` transform the transform's own ``gamma``
    must be :math:`\gamma(1-\rho)`, since it discounts the rewards in between.

    See :class:`RobustTD0Estimator` for the arguments.

    Examples:
        >>> from tensordict import TensorDict
        >>> estimator = ContaminationTD0Estimator(
        ...     gamma=0.5, rho=0.2, worst_value=-10.0, value_network=None
        ... )
        >>> data = TensorDict(
        ...     {"next": {"reward": torch.ones(2, 1), "done": torch.zeros(2, 1, dtype=torch.bool),
        ...               "terminated": torch.tensor([[False], [True]])}}, [2]
        ... )
        >>> estimator.value_estimate(data, next_value=torch.full((2, 1), 4.0))
        tensor([[1.6000],
                [0.0000]])
    """

    def robust_value(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``(1 - rho) V' + rho v``, of the shape of ``next_value``."""
        return contamination_backup(next_value, self.rho, self.worst_value)

    def _n_step_target(
        self, reward: Tensor, outcome: Tensor, steps: Tensor, gamma: Tensor
    ) -> Tensor:
        # The backup is affine, so n of them are a geometric series.
        keep = gamma * (1.0 - self.rho)
        target = reward + keep**steps * outcome
        if self.rho == 0.0 or self.worst_value == 0.0:
            return target
        return target + gamma * self.rho * self.worst_value * (1 - keep**steps) / (1 - keep)


@register_value_estimator(
    RobustValueEstimators.TV_TD0,
    default_kwargs={"gamma": 0.99, "rho": 0.0, "differentiable": True},
)
class TVTD0Estimator(RobustTD0Estimator):
    r"""TD(0) target over a total-variation ball, with a learned dual (Eq. 10, 16, 29).

    .. math::
        y = r + \gamma \left[\eta - (\eta - V')_+ - \rho (\eta - v)_+\right],
        \quad \eta = \eta_\xi(s, \mathbf a)

    The dual is trained by :meth:`dual_objective` (Eq. 17). See :class:`RobustTD0Estimator` for the
    arguments.

    Examples:
        >>> from tensordict import TensorDict
        >>> estimator = TVTD0Estimator(gamma=0.5, rho=0.2, worst_value=-10.0, value_network=None)
        >>> data = TensorDict(
        ...     {"next": {"reward": torch.ones(1, 1), "done": torch.zeros(1, 1, dtype=torch.bool),
        ...               "terminated": torch.zeros(1, 1, dtype=torch.bool)}}, [1]
        ... )
        >>> next_value = dual_value = torch.full((1, 1), 4.0)  # a deterministic next state
        >>> estimator.value_estimate(data, next_value=next_value, dual_value=dual_value)
        tensor([[1.6000]])
    """

    has_dual = True

    def robust_value(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``eta - (eta - V')_+ - rho (eta - v)_+``, of the shape of ``next_value``."""
        return tv_backup(next_value, dual_value, self.rho, self.worst_value)

    def dual_objective(self, next_value: Tensor, dual_value: Tensor) -> Tensor:
        """Integrand of Eq. 17, of the shape of ``next_value``."""
        return tv_dual_objective(next_value, dual_value, self.rho, self.worst_value)
