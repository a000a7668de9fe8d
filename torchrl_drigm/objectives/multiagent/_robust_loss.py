"""What every robust multi-agent loss shares: estimators, the dual network, masks and means.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, TensorDictSequential
from tensordict.utils import unravel_key
from torch import Tensor, nn
from torch.compiler import is_compiling
from torchrl.envs.utils import set_exploration_type, step_mdp
from torchrl.modules import QValueModule, set_recurrent_mode
from torchrl.objectives.utils import _coerce_value_type, get_value_estimator_entry
from torchrl.objectives.value import ValueEstimatorBase

from torchrl_drigm.objectives.multiagent._checks import check_finite_batch, check_next_action_mask
from torchrl_drigm.objectives.value import (
    ContaminationTDLambdaEstimator,
    RobustTD0Estimator,
    RobustValueEstimators,
)

DUAL_LOSSES = ("linear", "squared")
ROBUST_ESTIMATORS = (RobustTD0Estimator, ContaminationTDLambdaEstimator)


class RobustLossMixin:
    """Mix into a ``LossModule`` that owns a ``local_value_network`` and regresses a team value.

    The loss calls :meth:`_own_dual_network` after its own networks are set, :meth:`_robust_target`
    for the TD target and the dual loss, and :meth:`_mean` for every reduction.
    """

    default_value_estimator = RobustValueEstimators.CONTAMINATION_TD0

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
        # of the online parameters, by network: the dict that holds each, and its key there
        self._places: dict[str, list[tuple[dict, str]]] = {}

    def _own_dual_network(self, dual_network: TensorDictModule | nn.Module | None) -> None:
        if dual_network is None:
            self.dual_network = None
            return
        if not isinstance(dual_network, TensorDictModule):
            dual_network = TensorDictModule(
                dual_network,
                in_keys=[self.tensor_keys.state, self.tensor_keys.action],
                out_keys=[self.tensor_keys.dual_value],
            )
        self.convert_to_functional(dual_network, "dual_network", create_target_params=False)

    @property
    def _has_dual(self) -> bool:
        return getattr(self.value_estimator, "has_dual", False)

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
            self._make_torchrl_value_estimator(value_type)
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
            self._make_torchrl_value_estimator(value_type, **hyperparams)
            return
        self._check_dual_network(estimator_cls)
        hyperparams.setdefault("value_network", getattr(self, "global_value_network", None))
        self._value_estimator = estimator_cls.for_loss(self, **hyperparams)
        self.value_type = value_type
        self._forward_value_estimator_keys()

    def _make_torchrl_value_estimator(self, value_type, **hyperparams) -> None:
        """Build one of TorchRL's own estimators, which no robust one stands in for."""
        super().make_value_estimator(value_type, **hyperparams)

    def _check_dual_network(self, estimator_cls: type[ValueEstimatorBase]) -> None:
        if getattr(estimator_cls, "has_dual", False) and self.dual_network is None:
            raise ValueError(
                f"{estimator_cls.__name__} needs a dual network, and this loss has none. Build it "
                "with dual_network=DualNetwork(state_shape, n_agents, n_actions), or choose the "
                "contamination set, which has no dual."
            )

    def _online(self, name: str) -> AbstractContextManager:
        """Context in which the network ``name`` runs with its online parameters.

        The network that a loss was built from has them anyway, as long as nobody exchanges them;
        to look takes a tenth of the time of putting them in and taking them out again.
        """
        params, network = getattr(self, f"{name}_params"), getattr(self, name)
        # a network without parameters has an ordinary, empty tensordict of them
        if isinstance(params, TensorDictParams) and not is_compiling():
            tensors = [*params.parameters(), *params.buffers()]
            places = self._places.get(name) or _find(params, network)
            if len(places) == len(tensors) and all(
                _is_same(owner.get(key), tensor)
                for (owner, key), tensor in zip(places, tensors, strict=True)
            ):
                self._places[name] = places
                return nullcontext()
            self._places.pop(name, None)
        return params.to_module(network, preserve_module_state=False)

    @staticmethod
    def _without_next(tensordict: TensorDictBase) -> TensorDictBase:
        """A copy that networks may write into, on the same tensors."""
        return tensordict.exclude("next").clone(False)

    def _run_local_networks(self, tensordict: TensorDictBase) -> None:
        """Writes the action values.

        A last ``QValueModule`` is left out, unless it applies a mask: nobody asks in a loss which
        action is greedy now, and finding out takes as long as the head of the network.
        """
        for module in self._value_modules():
            module(tensordict)

    def _value_modules(self) -> list[nn.Module]:
        """The parts of the local network that the action values come from."""
        if isinstance(self.local_value_network, TensorDictSequential):
            *others, last = self.local_value_network.module
            if isinstance(last, QValueModule) and last.action_mask_key is None:
                return others
        return [self.local_value_network]

    def _local_value(self, tensordict: TensorDictBase) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of the actions taken.

        A network that can compute them without those of all actions does so:
        :meth:`~torchrl_drigm.modules.DRQN.chosen_value`.
        """
        action = tensordict.get(self.tensor_keys.action)
        chosen_value = self._shortcut("chosen_value")
        if chosen_value is not None:
            in_keys = self._value_modules()[0].in_keys
            return chosen_value(*(tensordict[key] for key in in_keys), action)
        self._run_local_networks(tensordict)
        return self._chosen_value(tensordict.get(self.tensor_keys.action_value), action)

    def _shortcut(self, name: str) -> Callable | None:
        """A method of the local network that computes some actions' values alone, if it has it."""
        modules = self._value_modules()
        if self.action_space != "categorical" or len(modules) != 1:
            return None
        return getattr(getattr(modules[0], "module", None), name, None)

    def _chosen_value(self, action_value: Tensor, action: Tensor) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of the actions taken, from ``[*B, n_agents, n_actions]``."""
        if self.action_space == "categorical":
            if action.shape != action_value.shape:
                action = action.unsqueeze(-1)
            return torch.gather(action_value, -1, index=action)
        return (action_value * action.to(torch.float)).sum(-1, keepdim=True)

    def _next_action_mask(self, tensordict: TensorDictBase) -> Tensor | None:
        """The next step's mask; ``None`` where there is none or the network itself applies it."""
        mask_key = self.tensor_keys.action_mask
        mask = tensordict.get(("next", mask_key), None)
        if mask is None:
            check_next_action_mask(tensordict, mask_key, self.local_value_network.in_keys)
        return None if mask_key in self.local_value_network.in_keys else mask

    @property
    def _is_recurrent(self) -> bool:
        """Whether the local network carries a state: reads a key, and writes it for the next step.

        A stateful module tells so by its keys, as TorchRL's own recurrent modules do.
        """
        out_keys = self.local_value_network.out_keys
        return any(
            unravel_key(("next", key)) in out_keys for key in self.local_value_network.in_keys
        )

    def _next_local_values(
        self, tensordict: TensorDictBase, params: TensorDictParams, current: TensorDictBase | None
    ) -> TensorDictBase:
        """The next step, with the outputs of the local networks under ``params``.

        A recurrent network takes each next step from the state that the same parameters carry to
        the current one: exact also at the last step of an episode in mid-sequence, whose next step
        is not the following one. ``current`` has what the networks wrote there, if they ran.
        """
        with params.to_module(self.local_value_network, preserve_module_state=False):
            if not self._is_recurrent:
                next_td = step_mdp(tensordict, keep_other=False)
                self._run_local_networks(next_td)
                return next_td
            tensordict = tensordict.clone(False)
            if current is None:
                self._run_local_networks(tensordict)
            else:
                tensordict.update(current.select("next").detach())
            next_td = step_mdp(tensordict, keep_other=False)
            with set_recurrent_mode(False):
                self._run_local_networks(next_td)
        return next_td

    @torch.no_grad()
    def _greedy_next(
        self, tensordict: TensorDictBase, mask: Tensor | None, online: TensorDictBase | None
    ) -> tuple[TensorDictBase, Tensor, Tensor]:
        """The next step with the target networks' outputs, and per agent the greedy action there.

        Returns the next step, the actions ``[*B, n_agents, 1]`` and the target networks' values of
        all actions. With ``double_dqn`` the online networks choose the actions; ``online`` is the
        current step with their outputs, or ``None``.
        """
        next_td = self._next_local_values(tensordict, self.target_local_value_network_params, None)
        value = next_td.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
        preference = value
        if self.double_dqn:
            params = self.local_value_network_params.data
            online = self._next_local_values(tensordict, params, online)
            preference = online.get(self.tensor_keys.action_value)
        if mask is not None:
            preference = preference.masked_fill(~mask, torch.finfo(preference.dtype).min)
        return next_td, preference.argmax(-1, keepdim=True), value

    @torch.no_grad()
    def next_team_value(self, tensordict: TensorDictBase) -> Tensor:
        """Team value of the next step at the greedy next actions, under the target networks.

        Nothing else of the target depends on the networks, so between two hard copies it is the
        same whenever a transition is sampled. Where the data has it under
        ``("next", set_keys(team_value=...))``, the loss takes it from there; keeping it up to date
        is up to who put it there, as :class:`~torchrl_drigm.trainers.hooks.KeepNextValue` does.

        Args:
            tensordict (TensorDictBase): batch ``[*B]``, as the loss takes it.

        Returns:
            Tensor: ``[*B, 1]``.
        """
        with set_exploration_type(self.deterministic_sampling_mode), set_recurrent_mode(True):
            return self._next_value(tensordict.clone(False))

    def _kept_next_value(self, tensordict: TensorDictBase, online: TensorDictBase) -> Tensor:
        """:meth:`next_team_value` from the data where it is there, otherwise computed."""
        kept = tensordict.get(("next", self.tensor_keys.team_value), None)
        return self._next_value(tensordict, online) if kept is None else kept

    def _robust_target(
        self, tensordict: TensorDictBase, next_value: Tensor, losses: TensorDict
    ) -> Tensor:
        """TD target ``[*B]``; the dual loss, where the set has one, goes into ``losses``.

        ``tensordict`` must hold the actions that were taken, not the greedy ones.
        """
        if getattr(self.value_estimator, "average_rewards", False):
            # TorchRL's standardise the reward in place: not in the caller's data.
            tensordict = tensordict.clone(False)
        if not self._has_dual:
            target = self.value_estimator.value_estimate(tensordict, next_value=next_value)
            return target.squeeze(-1)
        dual_value, objective = self._dual(tensordict, next_value)
        losses["loss_dual"] = self._mean(objective.squeeze(-1), tensordict)
        if self.log_values:
            losses["dual_value"] = self._mean(dual_value.detach().squeeze(-1), tensordict)
        target = self.value_estimator.value_estimate(
            tensordict, next_value=next_value, dual_value=dual_value.detach()
        )
        return target.squeeze(-1)

    def _dual(self, tensordict: TensorDictBase, next_value: Tensor) -> tuple[Tensor, Tensor]:
        """Dual value and objective, ``[*B, 1]`` each, with gradient to the dual network only."""
        dual_td = tensordict.select(*self.dual_network.in_keys)
        with self._online("dual_network"):
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

    def _write_priority(
        self, tensordict: TensorDictBase, pred_value: Tensor, target_value: Tensor
    ) -> None:
        with torch.no_grad():
            priority = (pred_value - target_value).pow(2).unsqueeze(-1)
        if tensordict.device is not None:
            priority = priority.to(tensordict.device)
        tensordict.set(self.tensor_keys.priority, priority, inplace=True)

    def _finish(
        self,
        losses: TensorDict,
        tensordict: TensorDictBase,
        pred_value: Tensor,
        target_value: Tensor,
    ) -> TensorDict:
        """Add the logged values where asked for, and refuse what is not finite."""
        if self.log_values:
            losses["pred_value"] = self._mean(pred_value.detach(), tensordict)
            losses["target_value"] = self._mean(target_value.detach(), tensordict)
        if self.check_finite and not is_compiling():
            check_finite_batch(losses, tensordict, self.in_keys, pred_value, target_value)
        return losses

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


def _find(params: TensorDictParams, network: nn.Module) -> list[tuple[dict, str]]:
    """Where parameters and buffers belong in a network; empty if they belong to another."""
    modules = dict(network.named_modules())
    places = []
    for kind, named in (
        ("_parameters", params.named_parameters()),
        ("_buffers", params.named_buffers()),
    ):
        for name, _ in named:
            path, _, key = name.rpartition(".")
            if path not in modules:
                return []
            places.append((getattr(modules[path], kind), key))
    return places


def _is_same(held: Tensor | None, owned: Tensor) -> bool:
    """Whether they are one tensor; of buffers, tensordicts keep another one on the same memory."""
    return held is owned or (
        held is not None
        and not isinstance(owned, nn.Parameter)
        and held.data_ptr() == owned.data_ptr()
        and held.shape == owned.shape
    )
