"""Robust VDN and QMIX: TorchRL's ``QMixerLoss`` with a robust Bellman target.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, dispatch
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torch.compiler import is_compiling
from torchrl.data.tensor_specs import TensorSpec
from torchrl.envs.utils import step_mdp
from torchrl.modules.tensordict_module.actors import QValueActor
from torchrl.objectives.multiagent import QMixerLoss
from torchrl.objectives.utils import (
    _coerce_value_type,
    distance_loss,
    get_value_estimator_entry,
)
from torchrl.objectives.value import ValueEstimatorBase

from torchrl_drigm.objectives.multiagent._checks import (
    check_finite_batch,
    check_next_action_mask,
    check_team_reward,
)
from torchrl_drigm.objectives.value import (
    ContaminationTDLambdaEstimator,
    RobustTD0Estimator,
    RobustValueEstimators,
)

DUAL_LOSSES = ("linear", "squared")
ROBUST_ESTIMATORS = (RobustTD0Estimator, ContaminationTDLambdaEstimator)


class RobustQMixerLoss(QMixerLoss):
    r"""Distributionally robust QMIX and VDN loss, a drop-in for TorchRL's ``QMixerLoss``.

    The team value :math:`Q_{tot}(\mathbf h, \mathbf a; \theta)` is regressed on

    .. math::
        y = r + \gamma\,\sigma(V'), \qquad
        V' = (1 - \text{terminated})\, Q_{tot}(\mathbf h', \bar{\mathbf a}'; \theta^-)

    where :math:`\sigma` is the worst case over the uncertainty set of the value estimator
    (Eq. 8 and 15 for :math:`\rho`-contamination, Eq. 10 and 16 for total variation) and
    :math:`\bar{\mathbf a}'` is greedy per agent (Def. 2 makes that the joint argmax), among the
    available actions where there is a mask. The mixer decides between VDN and QMIX.

    The default estimator is ``CONTAMINATION_TD0`` at :math:`\rho = 0`: TorchRL's own loss, to the
    last bit. Every estimator of ``QMixerLoss`` can be asked for as well.

    Args:
        local_value_network (QValueActor or nn.Module): per-agent Q-networks; writes
            ``("agents", "action_value")``, ``[*B, n_agents, n_actions]``.
        mixer_network (TensorDictModule or nn.Module): maps ``("agents", "chosen_action_value")``,
            ``[*B, n_agents, 1]``, and a state for QMIX, to ``"chosen_action_value"``, ``[*B, 1]``.

    Keyword Args:
        dual_network (TensorDictModule or nn.Module, optional): the dual :math:`\eta(s, \mathbf a)`
            of the total-variation set, ``[*B, 1]``. A plain module is called with ``"state"`` and
            ``("agents", "action")``.
        dual_loss (str): ``"linear"`` (Eq. 17, converges to the conditional optimum) or
            ``"squared"`` (the paper's released configuration, which has another minimiser unless
            the next state is deterministic). Defaults to ``"linear"``.
        double_dqn (bool): take the greedy next action from the online networks and its value from
            the target ones. Defaults to ``False``, as in the paper.
        burn_in (int): number of first steps of a sequence ``[*B, T]`` that only warm up the
            recurrent state and do not count in the loss. Defaults to 0.
        check_finite (bool): refuse rewards, observations and values that are not finite. Defaults
            to ``True``; skipped inside ``torch.compile``.
        log_values (bool): also return the detached means ``pred_value``, ``target_value`` and,
            with a dual, ``dual_value``. Defaults to ``False``, so that the outputs are TorchRL's.
        **kwargs: ``loss_function``, ``delay_value`` and ``action_space``, as in
            :class:`~torchrl.objectives.multiagent.QMixerLoss`.

    Inputs (keys can be renamed by ``set_keys``): ``("agents", "action")``, what the networks read
    at the root and under ``"next"``, ``("next", "reward")`` ``[*B, 1]`` (team reward),
    ``("next", "done")`` and ``("next", "terminated")`` ``[*B, 1]``. Padded steps of sequences are
    left out of the mean: ``("collector", "mask")``, or the entry that ``loss_mask_key`` of
    :class:`~torchrl.objectives.LossModule` names; ``QMixerLoss`` averages over them.

    Returns:
        TensorDict with ``loss``, and ``loss_dual`` where the estimator has a dual, both scalars.
        The gradient of each reaches only its own parameters, so one optimizer for all or one for
        each work alike. The input receives ``"td_error"``, ``[*B, 1]``, as priority.

    Raises:
        ValueError: for an uncertainty set that needs a missing dual network, a mixer whose agent
            count differs, a reward with an agent dimension, a missing next action mask, a bad
            ``burn_in``, and values that are not finite.

    Examples:
        >>> from torchrl.modules import QValueModule, SafeSequential
        >>> from torchrl.modules.models.multiagent import QMixer
        >>> from torchrl.objectives import SoftUpdate
        >>> from torchrl_drigm.modules import DualNetwork
        >>> _ = torch.manual_seed(0)
        >>> n_agents, n_actions = 4, 3
        >>> qnet = SafeSequential(
        ...     TensorDictModule(
        ...         nn.Linear(10, n_actions),
        ...         in_keys=[("agents", "observation")],
        ...         out_keys=[("agents", "action_value")],
        ...     ),
        ...     QValueModule(
        ...         action_value_key=("agents", "action_value"),
        ...         out_keys=[
        ...             ("agents", "action"),
        ...             ("agents", "action_value"),
        ...             ("agents", "chosen_action_value"),
        ...         ],
        ...         action_space="categorical",
        ...     ),
        ... )
        >>> mixer = TensorDictModule(
        ...     QMixer(state_shape=(6,), mixing_embed_dim=32, n_agents=n_agents, device="cpu"),
        ...     in_keys=[("agents", "chosen_action_value"), "state"],
        ...     out_keys=["chosen_action_value"],
        ... )
        >>> dual = DualNetwork(state_shape=6, n_agents=n_agents, n_actions=n_actions)
        >>> loss = RobustQMixerLoss(qnet, mixer, dual_network=dual, action_space="categorical")
        >>> loss.make_value_estimator("tv_td0", gamma=0.997, rho=0.2, worst_value=-10.0)
        >>> target_updater = SoftUpdate(loss, eps=0.99)
        >>> def step():
        ...     return {"agents": {"observation": torch.randn(32, n_agents, 10)},
        ...             "state": torch.randn(32, 6)}
        >>> data = TensorDict(
        ...     {**step(), "next": {**step(), "reward": torch.randn(32, 1),
        ...                         "done": torch.zeros(32, 1, dtype=torch.bool),
        ...                         "terminated": torch.zeros(32, 1, dtype=torch.bool)}}, [32]
        ... )
        >>> sorted(loss(qnet(data)).keys())
        ['loss', 'loss_dual']
    """

    @dataclass
    class _AcceptedKeys(QMixerLoss._AcceptedKeys):
        """Keys of :class:`~torchrl.objectives.multiagent.QMixerLoss`, and those of the robust part.

        Attributes:
            action_mask (NestedKey): availability of each action. Used where the data has it.
                Defaults to ``("agents", "action_mask")``.
            state (NestedKey): global state read by a plain dual module. Defaults to ``"state"``.
            dual_value (NestedKey): output of the dual network. Defaults to ``"dual_value"``.
        """

        action_mask: NestedKey = ("agents", "action_mask")
        state: NestedKey = "state"
        dual_value: NestedKey = "dual_value"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys
    default_value_estimator = RobustValueEstimators.CONTAMINATION_TD0

    dual_network: TensorDictModule | None
    dual_network_params: TensorDictParams | None
    target_dual_network_params: TensorDictParams | None

    def __init__(
        self,
        local_value_network: QValueActor | nn.Module,
        mixer_network: TensorDictModule | nn.Module,
        *,
        dual_network: TensorDictModule | nn.Module | None = None,
        dual_loss: str = "linear",
        double_dqn: bool = False,
        burn_in: int = 0,
        check_finite: bool = True,
        log_values: bool = False,
        loss_function: str | None = "l2",
        delay_value: bool = True,
        action_space: str | TensorSpec | None = None,
    ) -> None:
        if dual_loss not in DUAL_LOSSES:
            raise ValueError(f"dual_loss must be one of {DUAL_LOSSES}, got {dual_loss!r}.")
        if isinstance(burn_in, bool) or not isinstance(burn_in, int) or burn_in < 0:
            raise ValueError(f"burn_in must be a non-negative number of steps, got {burn_in!r}.")
        super().__init__(
            local_value_network,
            mixer_network,
            loss_function=loss_function,
            delay_value=delay_value,
            action_space=action_space,
        )
        if double_dqn and self.action_space not in ("categorical", "one_hot"):
            raise ValueError(
                "double_dqn=True needs a 'categorical' or 'one_hot' action space, got "
                f"{self.action_space!r}."
            )
        if dual_network is None:
            self.dual_network = None
        else:
            if not isinstance(dual_network, TensorDictModule):
                dual_network = TensorDictModule(
                    dual_network,
                    in_keys=[self.tensor_keys.state, self.tensor_keys.action],
                    out_keys=[self.tensor_keys.dual_value],
                )
            self.convert_to_functional(dual_network, "dual_network", create_target_params=False)
        self.dual_loss = dual_loss
        self.double_dqn = double_dqn
        self.burn_in = burn_in
        self.check_finite = check_finite
        self.log_values = log_values

    @property
    def out_keys(self) -> list[str]:
        """``["loss"]``, ``"loss_dual"`` with a dual, and the logged values where asked for."""
        keys = ["loss", "loss_dual"] if self._has_dual else ["loss"]
        if self.log_values:
            keys += ["pred_value", "target_value"] + (["dual_value"] if self._has_dual else [])
        return keys

    @property
    def _has_dual(self) -> bool:
        return getattr(self.value_estimator, "has_dual", False)

    def _set_in_keys(self) -> None:
        super()._set_in_keys()
        if self.dual_network is not None:
            self._in_keys = list(dict.fromkeys([*self._in_keys, *self.dual_network.in_keys]))

    def make_value_estimator(
        self,
        value_type: RobustValueEstimators | str | type | ValueEstimatorBase | None = None,
        **hyperparams,
    ) -> None:
        """Choose the uncertainty set, its size and the discount.

        Args:
            value_type (RobustValueEstimators, str, type or ValueEstimatorBase, optional): a robust
                estimator by member, by alias (``"tv_td0"``), by class or as an instance, or one
                that ``QMixerLoss`` takes. Defaults to ``CONTAMINATION_TD0``.
            **hyperparams: ``gamma``, ``rho``, ``worst_value`` or ``reward_lower_bound``, and for
                TD(λ) ``lmbda``.

        Raises:
            ValueError: for a set with a dual where the loss has no dual network, or ``rho`` or
                ``gamma`` outside [0, 1].
        """
        if value_type is None:
            value_type = self.default_value_estimator
        if isinstance(value_type, ValueEstimatorBase):
            self._check_dual_network(type(value_type))
            super().make_value_estimator(value_type)
            return
        if isinstance(value_type, type):
            estimator_cls = value_type
        else:
            # Whatever is registered and robust is supported, so that a new uncertainty set needs
            # no change here.
            value_type = _coerce_value_type(value_type)
            entry = get_value_estimator_entry(value_type)
            estimator_cls = entry.cls
            if issubclass(estimator_cls, ROBUST_ESTIMATORS):
                hyperparams = {**entry.default_kwargs, **hyperparams}
        if not issubclass(estimator_cls, ROBUST_ESTIMATORS):
            super().make_value_estimator(value_type, **hyperparams)
            return
        self._check_dual_network(estimator_cls)
        hyperparams.setdefault("value_network", self.global_value_network)
        self._value_estimator = estimator_cls.for_loss(self, **hyperparams)
        self.value_type = value_type
        self._forward_value_estimator_keys()

    def _check_dual_network(self, estimator_cls: type[ValueEstimatorBase]) -> None:
        if getattr(estimator_cls, "has_dual", False) and self.dual_network is None:
            raise ValueError(
                f"{estimator_cls.__name__} needs a dual network, and this loss has none. Build it "
                "with dual_network=DualNetwork(state_shape, n_agents, n_actions), or choose the "
                "contamination set, which has no dual."
            )

    # The batch size that dispatch infers from nested agent entries takes in their feature
    # dimension, and the chosen action values no longer fit: no batch size is needed here.
    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Compute the robust loss of a batch ``[*B]``, or ``[*B, T]`` of sequences."""
        td_copy = tensordict.clone(False)
        with self.local_value_network_params.to_module(
            self.local_value_network, preserve_module_state=False
        ):
            self.local_value_network(td_copy)
        action = tensordict.get(self.tensor_keys.action)
        pred_value = td_copy.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
        if self.action_space == "categorical":
            if action.shape != pred_value.shape:
                action = action.unsqueeze(-1)
            pred_value = torch.gather(pred_value, -1, index=action)
        else:
            pred_value = (pred_value * action.to(torch.float)).sum(-1, keepdim=True)
        self._check_n_agents(pred_value)
        td_copy.set(self.tensor_keys.local_value, pred_value)  # [*B, n_agents, 1]
        with self.mixer_network_params.to_module(self.mixer_network, preserve_module_state=False):
            self.mixer_network(td_copy)
        pred_value = td_copy[self.tensor_keys.global_value]  # [*B, 1]
        check_team_reward(tensordict, self.tensor_keys.reward, pred_value)

        next_value = self._next_value(td_copy)  # [*B, 1]
        losses = TensorDict({}, [])
        if self._has_dual:
            dual_value, dual_objective = self._dual(tensordict, next_value)
            losses["loss_dual"] = self._mean(dual_objective.squeeze(-1), tensordict)
            target_value = self.value_estimator.value_estimate(
                td_copy, next_value=next_value, dual_value=dual_value.detach()
            )
        else:
            target_value = self.value_estimator.value_estimate(td_copy, next_value=next_value)
        pred_value, target_value = pred_value.squeeze(-1), target_value.squeeze(-1)  # [*B]

        with torch.no_grad():
            priority = (pred_value - target_value).pow(2).unsqueeze(-1)
        if tensordict.device is not None:
            priority = priority.to(tensordict.device)
        tensordict.set(self.tensor_keys.priority, priority, inplace=True)
        loss = distance_loss(pred_value, target_value, self.loss_function)
        losses["loss"] = self._mean(loss, tensordict)
        if self.log_values:
            losses["pred_value"] = self._mean(pred_value.detach(), tensordict)
            losses["target_value"] = self._mean(target_value.detach(), tensordict)
            if self._has_dual:
                losses["dual_value"] = self._mean(dual_value.detach().squeeze(-1), tensordict)
        if self.check_finite and not is_compiling():
            check_finite_batch(losses, tensordict, self.in_keys, pred_value, target_value)
        return losses

    def _next_value(self, tensordict: TensorDictBase) -> Tensor:
        """Team value of the next step at the greedy next actions, ``[*B, 1]``, without gradient."""
        mask_key = self.tensor_keys.action_mask
        mask = tensordict.get(("next", mask_key), None)
        if mask is None:
            check_next_action_mask(tensordict, mask_key, self.local_value_network.in_keys)
        masked_by_network = mask_key in self.local_value_network.in_keys
        if not self.double_dqn and (mask is None or masked_by_network):
            return self.value_estimator._next_value(tensordict, self._cached_target_params, {})
        next_td = step_mdp(tensordict, keep_other=False)
        with torch.no_grad():
            preference = None
            if self.double_dqn:
                online_td = next_td.clone(False)
                with self.local_value_network_params.data.to_module(
                    self.local_value_network, preserve_module_state=False
                ):
                    self.local_value_network(online_td)
                preference = online_td.get(self.tensor_keys.action_value)
            with self.target_local_value_network_params.to_module(
                self.local_value_network, preserve_module_state=False
            ):
                self.local_value_network(next_td)
            value = next_td.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
            preference = value if preference is None else preference
            if mask is not None and not masked_by_network:
                lowest = torch.finfo(preference.dtype).min
                preference = preference.masked_fill(~mask, lowest)
            greedy = preference.argmax(-1, keepdim=True)
            next_td.set(self.tensor_keys.local_value, value.gather(-1, greedy))
            with self.target_mixer_network_params.to_module(
                self.mixer_network, preserve_module_state=False
            ):
                self.mixer_network(next_td)
        return next_td.get(self.tensor_keys.global_value)

    def _dual(self, tensordict: TensorDictBase, next_value: Tensor) -> tuple[Tensor, Tensor]:
        """Dual value and objective, ``[*B, 1]`` each, with gradient to the dual network only."""
        dual_td = tensordict.select(*self.dual_network.in_keys)
        with self.dual_network_params.to_module(self.dual_network, preserve_module_state=False):
            self.dual_network(dual_td)
        dual_value = dual_td.get(self.tensor_keys.dual_value, None)
        if dual_value is None:
            raise ValueError(
                f"the dual network writes {self.dual_network.out_keys}, expected "
                f"{self.tensor_keys.dual_value!r} among them. Name its output by "
                "set_keys(dual_value=...)."
            )
        estimator = self.value_estimator
        outcome = estimator.outcome_value(tensordict, next_value)
        objective = estimator.dual_objective(outcome, dual_value)
        return dual_value, objective if self.dual_loss == "linear" else objective.square()

    def _mean(self, value: Tensor, tensordict: TensorDictBase) -> Tensor:
        """Mean over the steps that count: after ``burn_in`` and not padding."""
        mask = None
        for key in self._loss_mask_keys():
            valid = tensordict.get(key, None)
            if valid is not None:
                valid = self._expand_loss_mask(valid, value)
                mask = valid if mask is None else mask & valid
        if mask is not None:
            # Without a single valid step there is no mean: such a mask was never filled in.
            mask = mask | ~mask.any()
        if self.burn_in:
            if value.ndim < 2 or value.shape[-1] <= self.burn_in:
                raise ValueError(
                    f"burn_in={self.burn_in} needs sequences [*B, T] with T > {self.burn_in}, got "
                    f"a batch of shape {tuple(value.shape)}. Sample slices, or set burn_in=0."
                )
            after = torch.arange(value.shape[-1], device=value.device) >= self.burn_in
            mask = after.expand(value.shape) if mask is None else mask & after
        return self._reduce_loss(value, mask=mask, reduction="mean")

    def _check_n_agents(self, local_value: Tensor) -> None:
        expected = getattr(getattr(self.mixer_network, "module", None), "n_agents", None)
        if expected is not None and local_value.shape[-2] != expected:
            raise ValueError(
                f"the mixer was built for n_agents={expected}, and the local values have shape "
                f"{tuple(local_value.shape)}, expected [*B, {expected}, 1]. Build the mixer with "
                f"n_agents={local_value.shape[-2]}."
            )
