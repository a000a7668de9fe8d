"""What every robust multi-agent loss shares: estimators, the dual network, what counts, means.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

import warnings

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.envs.utils import set_exploration_type
from torchrl.modules import set_recurrent_mode
from torchrl.objectives.common import AUTO_LOSS_MASK_KEYS
from torchrl.objectives.utils import _coerce_value_type, get_value_estimator_entry
from torchrl.objectives.value import TD1Estimator, TDLambdaEstimator, ValueEstimatorBase

from torchrl_drigm.modules._calls import run
from torchrl_drigm.objectives._batch import inspects
from torchrl_drigm.objectives.multiagent._checks import check_finite_batch
from torchrl_drigm.objectives.multiagent._networks import NetworksMixin
from torchrl_drigm.objectives.multiagent._steps import StepsMixin
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda, RobustValueEstimators
from torchrl_drigm.objectives.value._checks import check_gamma, check_lmbda
from torchrl_drigm.objectives.value._over_a_set import OverASet
from torchrl_drigm.uncertainty import TotalVariation, UncertaintySet

DUAL_LOSSES = ("linear", "squared")
COLLECTOR_MASK = AUTO_LOSS_MASK_KEYS[0]


class RobustLossMixin(StepsMixin, NetworksMixin):
    """Mix into a ``LossModule`` that owns a ``local_value_network`` and regresses a team value.

    A loss asks :meth:`_prepare` for the batch as it counts, runs its networks on it, and calls
    :meth:`_robust_target` for the TD target and the dual loss, :meth:`_mean` for every reduction
    and :meth:`_finish` at the end.
    """

    default_value_estimator = RobustValueEstimators.CONTAMINATION_TD0
    _plain_dual = False
    _chosen_out_keys: list[str] | None = None

    def _set_options(
        self, dual_loss: str, double_dqn: bool, burn_in: int, check_finite: bool, log_values: bool
    ) -> None:
        if dual_loss not in DUAL_LOSSES:
            raise ValueError(f"dual_loss must be one of {DUAL_LOSSES}, got {dual_loss!r}.")
        if isinstance(burn_in, bool) or not isinstance(burn_in, int) or burn_in < 0:
            raise ValueError(f"burn_in must be a non-negative number of steps, got {burn_in!r}.")
        if double_dqn and self.action_space not in ("categorical", "one_hot"):
            raise ValueError(
                "double_dqn=True needs a 'categorical' or 'one_hot' action space, got "
                f"{self.action_space!r}."
            )
        self.dual_loss = dual_loss
        self.double_dqn = double_dqn
        self.burn_in = burn_in
        self.check_finite = check_finite
        self.log_values = log_values

    # ---- dual network and estimator

    def _own_dual_network(self, dual_network: TensorDictModule | nn.Module | None) -> None:
        if dual_network is None:
            self.dual_network = None
            return
        self._plain_dual = not isinstance(dual_network, TensorDictModule)
        if self._plain_dual:
            dual_network = self._wrap_dual(dual_network)
        self.convert_to_functional(dual_network, "dual_network", create_target_params=False)

    def _wrap_dual(self, network: nn.Module) -> TensorDictModule:
        keys = self.tensor_keys
        return TensorDictModule(network, [keys.state, keys.action], [keys.dual_value])

    def _forward_value_estimator_keys(self, **kwargs) -> None:
        # a plain dual network was given its keys here, so that it follows when they are renamed
        if self._plain_dual:
            # not as a submodule: its parameters are the loss's
            self.__dict__["dual_network"] = self._wrap_dual(self.dual_network.module)
        super()._forward_value_estimator_keys(**kwargs)

    @property
    def _n_duals(self) -> int:
        return getattr(self.value_estimator, "n_duals", 0)

    def make_value_estimator(
        self,
        value_type: UncertaintySet
        | RobustValueEstimators
        | str
        | type
        | ValueEstimatorBase
        | None = None,
        **hyperparams,
    ) -> RobustLossMixin:
        """Choose the uncertainty set, its size and the discount.

        Args:
            value_type (optional): an :class:`~torchrl_drigm.uncertainty.UncertaintySet`, for
                one-step targets or, with ``lmbda``, for λ-returns; a robust estimator by member of
                ``RobustValueEstimators``, by alias (``"tv_td0"``), by class or as an instance; or
                an estimator that ``QMixerLoss`` takes. Defaults to ``CONTAMINATION_TD0``.
            **hyperparams: ``gamma``, for λ-returns ``lmbda``, and unless a set is given, those of
                the set: ``rho``, ``worst_value`` (0 where it is not given) or
                ``reward_lower_bound``.

        Returns:
            The loss itself, as :meth:`~torchrl.objectives.LossModule.make_value_estimator` does.

        Raises:
            ValueError: for a set with duals where the loss has no dual network, or ``rho``,
                ``gamma`` or ``lmbda`` out of range.
        """
        if value_type is None:
            value_type = self.default_value_estimator
        given = hyperparams
        if isinstance(value_type, ValueEstimatorBase):
            given = {name: getattr(value_type, name, None) for name in ("gamma", "lmbda")}
        for name, check in (("gamma", check_gamma), ("lmbda", check_lmbda)):
            if given.get(name) is not None:
                check(given[name])
        if isinstance(value_type, OverASet):
            return self._own_estimator(value_type, type(value_type))
        if isinstance(value_type, ValueEstimatorBase):
            self._make_torchrl_value_estimator(value_type)
            return self
        if isinstance(value_type, UncertaintySet):
            if hyperparams.get("lmbda") is None:
                hyperparams.pop("lmbda", None)
            estimator_cls = RobustTDLambda if "lmbda" in hyperparams else RobustTD0
            hyperparams = {"gamma": 0.99, "differentiable": True, **hyperparams}
            hyperparams["uncertainty"] = value_type
        elif isinstance(value_type, type):
            estimator_cls = value_type
        else:
            # Whatever is registered and robust is supported, so that a new uncertainty set needs
            # no change here.
            value_type = _coerce_value_type(value_type)
            entry = get_value_estimator_entry(value_type)
            estimator_cls = entry.cls
            if issubclass(estimator_cls, OverASet):
                hyperparams = {**entry.default_kwargs, **hyperparams}
        if not issubclass(estimator_cls, OverASet):
            self._make_torchrl_value_estimator(value_type, **hyperparams)
            return self
        hyperparams.setdefault("value_network", getattr(self, "global_value_network", None))
        return self._own_estimator(estimator_cls.for_loss(self, **hyperparams), value_type)

    def _own_estimator(self, estimator: OverASet, value_type: object) -> RobustLossMixin:
        n_duals = estimator.n_duals
        if n_duals and self.dual_network is None:
            number = f", n_duals={n_duals}" if n_duals > 1 else ""
            raise ValueError(
                f"{estimator.uncertainty!r} needs a dual network, and this loss has none. Build it "
                f"with dual_network=DualNetwork(state_shape, n_agents, n_actions{number}), or "
                "choose the contamination set, which has no dual."
            )
        if (
            self.dual_loss == "squared"
            and n_duals
            and not isinstance(estimator.uncertainty, TotalVariation)
        ):
            raise ValueError(
                'dual_loss="squared" is what the paper\'s released configuration does with total '
                f"variation. Over {estimator.uncertainty!r} it would drive the worst case to 0: "
                'leave it at "linear".'
            )
        self._value_estimator = estimator
        self.value_type = value_type
        self._forward_value_estimator_keys()
        return self

    def _make_torchrl_value_estimator(self, value_type, **hyperparams) -> None:
        """Build one of TorchRL's own estimators, which no robust one stands in for."""
        super().make_value_estimator(value_type, **hyperparams)

    # ---- keys

    _loss_keys: tuple[str, ...]

    @property
    def _out_keys(self) -> list[str]:
        """The losses, ``"loss_dual"`` with duals, and the logged values where asked for."""
        keys = [*self._loss_keys, *(["loss_dual"] if self._n_duals else [])]
        if self.log_values:
            keys += ["pred_value", "target_value", *self._logged_duals]
        return keys

    @property
    def _logged_duals(self) -> list[str]:
        """``"dual_value"`` of one dual number, ``"dual_value_0"``, ``"dual_value_1"`` of two."""
        n = self._n_duals
        return ["dual_value"] if n == 1 else [f"dual_value_{i}" for i in range(n)]

    @property
    def out_keys(self) -> list[str]:
        """All that the loss returns, or what ``select_out_keys`` has chosen of it."""
        return self._out_keys if self._chosen_out_keys is None else self._chosen_out_keys

    @out_keys.setter
    def out_keys(self, keys: list[str]) -> None:
        keys = list(keys)
        self._chosen_out_keys = None if keys == self._out_keys else keys

    @torch.no_grad()
    def next_team_value(self, tensordict: TensorDictBase) -> Tensor:
        """Team value of the next step at the greedy next actions, under the target networks.

        Nothing else of the target depends on the networks, so between two hard copies it is the
        same whenever a transition is sampled. Where the data has it under
        ``("next", set_keys(team_value=...))``, the loss takes it from there; keeping it up to date
        is up to who put it there, as
        :class:`~torchrl_drigm.trainers.next_values.KeepNextValue` does.

        Args:
            tensordict (TensorDictBase): batch ``[*B]``, as the loss takes it.

        Returns:
            Tensor: ``[*B, 1]``; NaN where an agent has no legal next action.
        """
        with set_exploration_type(self.deterministic_sampling_mode), set_recurrent_mode(True):
            return self._next_value(self._prepare(tensordict)[0].clone(False))

    def _kept_next_value(self, tensordict: TensorDictBase, online: TensorDictBase) -> Tensor:
        """:meth:`next_team_value` from the data where it is there, otherwise computed."""
        kept = tensordict.get(("next", self.tensor_keys.team_value), None)
        return self._next_value(tensordict, online) if kept is None else kept

    # ---- target, dual loss, priority

    def _robust_target(
        self,
        tensordict: TensorDictBase,
        pred_value: Tensor,
        next_value: Tensor,
        losses: TensorDict,
        valid: Tensor | None,
    ) -> Tensor:
        """TD target ``[*B]`` of ``pred_value`` ``[*B]``; a dual loss goes into ``losses``.

        ``tensordict`` must hold the actions that were taken, not the greedy ones.
        """
        keys = self.tensor_keys
        terminated = tensordict.get(("next", keys.terminated), None)
        if terminated is None:
            terminated = tensordict.get(("next", keys.done))
        # Here, as not every estimator does: the value of a terminal step may be NaN or infinite,
        # and a product with 0 would be NaN.
        if terminated.shape == next_value.shape:
            next_value = next_value.masked_fill(terminated, 0.0)
        estimator = self.value_estimator
        robust = isinstance(estimator, OverASet)  # these look for themselves
        if not robust and isinstance(estimator, TD1Estimator | TDLambdaEstimator):
            self._check_many_steps(tensordict, next_value)
        if robust and tensordict.get(COLLECTOR_MASK, None) is not None:
            # what it masks has been dealt with, as loss_mask_key says
            tensordict = tensordict.exclude(COLLECTOR_MASK)
        if getattr(estimator, "average_rewards", False):
            # TorchRL's standardise the reward in place: not in the caller's data.
            tensordict = tensordict.clone(False)
        if not self._n_duals:
            target = self.value_estimator.value_estimate(tensordict, next_value=next_value)
            return target.squeeze(-1)
        dual_value, objective = self._dual(tensordict, pred_value, next_value)
        losses["loss_dual"] = self._mean(objective.squeeze(-1), valid)
        if self.log_values:
            for key, value in zip(self._logged_duals, dual_value.detach().unbind(-1), strict=True):
                losses[key] = self._mean(value, valid)
        target = self.value_estimator.value_estimate(
            tensordict, next_value=next_value, dual_value=dual_value.detach()
        )
        return target.squeeze(-1)

    def _check_many_steps(self, tensordict: TensorDictBase, next_value: Tensor) -> None:
        """What TorchRL's estimators of several steps take for granted."""
        name = type(self.value_estimator).__name__
        steps_key = self.value_estimator.tensor_keys.steps_to_next_obs
        if tensordict.get(steps_key, None) is not None:
            raise ValueError(
                f"{name} computes its own returns of several steps, and the data carries "
                f"{steps_key!r} of a multi-step transform. Remove MultiStep, or take a one-step "
                "estimator."
            )
        named = tensordict.ndim and "time" in tensordict.names
        if inspects() and not named and next_value.ndim < 3:
            warnings.warn(
                f"{name} takes a batch of {next_value.shape[0]} for one trajectory in time, as "
                "TorchRL does. Single transitions in any order need a one-step estimator; a "
                "trajectory says so by its name: td.names = ['time'].",
                stacklevel=2,
            )

    def _dual(
        self, tensordict: TensorDictBase, pred_value: Tensor, next_value: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Dual numbers ``[*B, n_duals]`` and objective ``[*B, 1]``, gradient to their network."""
        missing = [key for key in self.dual_network.in_keys if tensordict.get(key, None) is None]
        if missing:
            raise ValueError(
                f"the dual network reads {missing[0]!r}, which the data lacks. Name what it is to "
                "read by set_keys(state=..., action=...): without a global state the observations "
                'of all agents serve, set_keys(state=("agents", "observation")), with '
                "DualNetwork(state_shape=(n_agents, observation_size), ...)."
            )
        dual_td = tensordict.select(*self.dual_network.in_keys)
        with self._online("dual_network"):
            run(self.dual_network, dual_td)
        dual_value = dual_td.get(self.tensor_keys.dual_value, None)
        if dual_value is None:
            raise ValueError(
                f"the dual network writes {self.dual_network.out_keys}, expected "
                f"{self.tensor_keys.dual_value!r} among them. Name its output by "
                "set_keys(dual_value=...)."
            )
        estimator = self.value_estimator
        expected = (*next_value.shape[:-1], estimator.n_duals)
        if dual_value.shape != expected:
            raise ValueError(
                f"the dual network gives {tuple(dual_value.shape)}, and {estimator.uncertainty!r} "
                f"needs {expected}: {estimator.n_duals} number(s) per state and joint action. "
                f"Build it with DualNetwork(..., n_duals={estimator.n_duals})."
            )
        dual_value = estimator.dual_around(dual_value, pred_value.unsqueeze(-1))
        outcome = estimator.outcome_value(tensordict, next_value)
        objective = estimator.dual_objective(outcome, dual_value)
        return dual_value, objective if self.dual_loss == "linear" else objective.square()

    def _finish(
        self,
        losses: TensorDict,
        tensordict: TensorDictBase,
        pred_value: Tensor,
        target_value: Tensor,
        valid: Tensor | None,
    ) -> TensorDict:
        """Add the logged values where asked for, and refuse what is not finite."""
        if self.log_values:
            losses["pred_value"] = self._mean(pred_value.detach(), valid)
            losses["target_value"] = self._mean(target_value.detach(), valid)
        if self.check_finite and inspects():
            values = {"predicted team value": pred_value, "target team value": target_value}
            check_finite_batch(
                losses, tensordict, self.in_keys, values, self._without_actions(tensordict, valid)
            )
        return losses
