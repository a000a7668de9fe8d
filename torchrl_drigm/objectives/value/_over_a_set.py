"""What every estimator over an uncertainty set shares."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.utils import hold_out_net

from torchrl_drigm.uncertainty import UncertaintySet


class OverASet:
    """Mix into a value estimator that owns the set ``uncertainty``."""

    uncertainty: UncertaintySet
    dual_network: TensorDictModuleBase | None

    @classmethod
    def for_loss(cls, loss_module, **hyperparams):
        """Build the estimator for a loss, with the loss's dual network."""
        hyperparams.setdefault("dual_network", getattr(loss_module, "dual_network", None))
        return super().for_loss(loss_module, **hyperparams)

    @staticmethod
    def _refuse_others(kwargs: dict) -> None:
        """What TorchRL's estimators would take or refuse without saying why."""
        if "average_rewards" in kwargs:
            raise TypeError(
                "average_rewards is not supported by robust estimators: standardised rewards move "
                "the worst value with every batch. Use the RewardScaling transform."
            )
        names = ("rho", "worst_value", "reward_lower_bound", "joint_with_reward")
        of_the_set = [name for name in names if name in kwargs]
        if of_the_set:
            raise TypeError(
                f"{', '.join(of_the_set)} belongs to the uncertainty set, not to its estimator. "
                "Give it to the set: TotalVariation(rho=0.2, worst_value=-10.0)."
            )

    def _own_set(self, uncertainty: UncertaintySet) -> None:
        if not isinstance(uncertainty, UncertaintySet):
            raise TypeError(
                f"uncertainty must be an UncertaintySet, got {uncertainty!r}. Make one: "
                "TotalVariation(rho=0.2), or make_set(name, rho=0.2) from a name."
            )
        # On one sample, so that what is wrong with a set shows before the first batch.
        one = torch.zeros(1, 1)
        backup = uncertainty.backup(one, torch.zeros(1, uncertainty.n_duals))
        if backup.shape != one.shape:
            raise ValueError(
                f"backup() of {uncertainty!r} must have the shape of next_value, [*B, 1], got "
                f"{list(backup.shape)} for {list(one.shape)}."
            )
        self.uncertainty = uncertainty

    def _own_dual_network(self, dual_network: TensorDictModuleBase | None) -> None:
        # The network stays its owner's: assigned without registering its parameters here.
        self.__dict__["dual_network"] = dual_network

    def robust_value(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        r"""Worst case :math:`\sigma` per sample, of the shape of ``next_value``."""
        return self.uncertainty.backup(next_value, dual_value)

    def dual_objective(self, next_value: Tensor, dual_value: Tensor) -> Tensor:
        """Quantity that the dual minimises in the mean, of the shape of ``next_value``."""
        return self.uncertainty.dual_objective(next_value, dual_value)

    def outcome_value(self, tensordict: TensorDictBase, next_value: Tensor) -> Tensor:
        """What the set is over: ``V'``, or ``r + gamma V'`` where it is joint with the reward.

        ``V'`` is the next value, 0 where the next state is terminal.

        Args:
            tensordict (TensorDictBase): ``[*B]``, with ``("next", "done")`` and, where episodes can
                be cut by time, ``("next", "terminated")``; with the reward for a joint set.
            next_value (Tensor): ``[*B, 1]``.

        Returns:
            Tensor ``[*B, 1]``.
        """
        next_value = self._where_not_terminal(tensordict, next_value)
        if not self.uncertainty.joint_with_reward:
            return next_value
        reward = tensordict.get(("next", self.tensor_keys.reward))
        return reward + self.gamma.to(reward.device) * next_value

    def _where_not_terminal(self, tensordict: TensorDictBase, next_value: Tensor) -> Tensor:
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

    def _dual_value(self, tensordict: TensorDictBase, dual_value: Tensor | None) -> Tensor | None:
        """The dual numbers as given, or by the network where the set has some."""
        if not self.n_duals or dual_value is not None:
            return dual_value
        if self.dual_network is None:
            raise ValueError(
                f"{type(self).__name__} over {self.uncertainty!r} needs a dual value: pass "
                "dual_value, or build the estimator with dual_network."
            )
        if self.uncertainty.dual_follows_value:
            raise ValueError(
                f"{type(self).__name__} over {self.uncertainty!r} needs a dual value: its network "
                "counts from the team value of the actions taken, which a loss knows. Use it in "
                "one, or pass dual_value, as dual_around(network's output, team value) gives it."
            )
        with hold_out_net(self.dual_network):
            return self.dual_network(tensordict.copy()).get(self.dual_network.out_keys[0])

    def dual_around(self, dual_value: Tensor, value: Tensor) -> Tensor:
        r"""The dual numbers of a network's output, the first counted from the team value or not.

        A value that falls would otherwise run away from a dual that lags behind: where all
        outcomes are below :math:`\eta` the target falls :math:`\gamma` times the slope of the
        backup as fast as they do. With :math:`\eta` following the value that the target is for,
        it falls less fast than they. The best dual numbers are the same ones.

        Args:
            dual_value (Tensor): ``[*B, n_duals]``.
            value (Tensor): team value of the state and joint action, ``[*B, 1]``.

        Returns:
            Tensor ``[*B, n_duals]``, no gradient to the value.
        """
        if not self.uncertainty.dual_follows_value:
            return dual_value
        first = dual_value[..., :1] + value.detach()
        return first if self.n_duals == 1 else torch.cat([first, dual_value[..., 1:]], -1)

    @property
    def n_duals(self) -> int:
        """How many dual numbers the set has per state and joint action."""
        return self.uncertainty.n_duals

    @property
    def has_dual(self) -> bool:
        """Whether the set has dual numbers, which a network has to learn."""
        return self.n_duals > 0

    @property
    def rho(self) -> float:
        """Size of the uncertainty set; assigning another value takes effect at once."""
        return self.uncertainty.rho

    @rho.setter
    def rho(self, rho: float) -> None:
        self.uncertainty = self.uncertainty.replace(rho=rho)

    @property
    def worst_value(self) -> float | None:
        """Worst value over all states; assigning another one takes effect at once."""
        return self.uncertainty.worst_value

    @worst_value.setter
    def worst_value(self, worst_value: float) -> None:
        self.uncertainty = self.uncertainty.replace(worst_value=worst_value)
