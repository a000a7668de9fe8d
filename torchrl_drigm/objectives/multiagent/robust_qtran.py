"""QTRAN with a robust Bellman target; nominal QTRAN at rho = 0.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, dispatch
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor, nn
from torchrl.data.tensor_specs import TensorSpec
from torchrl.data.utils import _find_action_space
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import ValueEstimators, dispatch_value_estimator, distance_loss

from torchrl_drigm.modules._calls import run
from torchrl_drigm.modules._fast_path import GreedyAndChosen, ValueAndOther, fast_path
from torchrl_drigm.objectives.multiagent._checks import check_mask_shape, check_team_reward
from torchrl_drigm.objectives.multiagent._robust_loss import RobustLossMixin


class RobustQTRANLoss(RobustLossMixin, LossModule):
    r"""Distributionally robust QTRAN loss (paper, Section 4; Son et al. 2019).

    A joint action-value :math:`Q_{tot}(\mathbf h, \mathbf a)`, free of any structure, is regressed
    on the robust target :math:`y = r + \gamma\,\sigma(V')` with
    :math:`V' = (1 - \text{terminated})\, Q_{tot}(\mathbf h', \bar{\mathbf a}'; \theta^-)` and
    :math:`\bar{\mathbf a}'` greedy per agent. Two more terms tie the sum of the agents' values to
    it, so that their greedy actions are the team's:

    .. math::
        L_{opt} &= \Big(\sum_i Q_i(h_i, \bar a_i) - \hat Q_{tot}(\mathbf h, \bar{\mathbf a})
        + V_{tot}(\mathbf h)\Big)^2 \quad (\text{Eq. 12}) \\
        L_{nopt} &= \Big(\min\big[\sum_i Q_i(h_i, a_i) - \hat Q_{tot}(\mathbf h, \mathbf a)
        + V_{tot}(\mathbf h),\, 0\big]\Big)^2 \quad (\text{Eq. 13})

    where :math:`\bar{\mathbf a}` is greedy per agent now, and :math:`\hat Q` is detached.

    The default estimator is ``CONTAMINATION_TD0`` at :math:`\rho = 0`: nominal QTRAN.

    Args:
        local_value_network (TensorDictModule): per-agent Q-networks; writes
            ``("agents", "action_value")``, ``[*B, n_agents, n_actions]``, and what the other two
            networks share of it, such as ``("agents", "features")``.
        joint_value_network (TensorDictModule): reads ``("agents", "action")`` among others and
            writes ``"joint_action_value"``, ``[*B, 1]``.
        state_value_network (TensorDictModule): writes ``"state_value"``, ``[*B, 1]``.

    Keyword Args:
        dual_network, dual_loss, double_dqn, burn_in, check_finite, log_values: as in
            :class:`~torchrl_drigm.objectives.RobustQMixerLoss`.
        loss_function (str): distance of the TD loss, ``"l2"``, ``"l1"`` or ``"smooth_l1"``.
            Defaults to ``"l2"``.
        delay_value (bool): whether to keep target networks. Defaults to ``True``.
        action_space (str or TensorSpec): ``"categorical"`` or ``"one-hot"``. Defaults to
            ``"categorical"``.

    Inputs: as :class:`~torchrl_drigm.objectives.RobustQMixerLoss`.

    Returns:
        TensorDict with the scalars ``loss_td``, ``loss_opt``, ``loss_nopt``, and ``loss_dual``
        where the estimator has a dual. The input receives ``"td_error"``, ``[*B, 1]``.

    Raises:
        ValueError: as :class:`~torchrl_drigm.objectives.RobustQMixerLoss`, and for an action space
            that is neither categorical nor one-hot.

    Examples:
        >>> from torchrl.modules import QValueModule, SafeSequential
        >>> from torchrl.objectives import SoftUpdate
        >>> from torchrl_drigm.modules import QTRANJointValue, QTRANStateValue
        >>> n_agents, n_actions = 3, 4
        >>> values = ("agents", "action_value")
        >>> linear = nn.Linear(5, n_actions)
        >>> qnet = SafeSequential(
        ...     TensorDictModule(linear, [("agents", "observation")], [values]),
        ...     QValueModule(
        ...         action_space="categorical", action_value_key=values,
        ...         out_keys=[("agents", "action"), values, ("agents", "chosen_action_value")],
        ...     ),
        ... )
        >>> joint = TensorDictModule(
        ...     QTRANJointValue(state_shape=6, n_agents=n_agents, n_actions=n_actions),
        ...     in_keys=["state", ("agents", "action")], out_keys=["joint_action_value"],
        ... )
        >>> value = TensorDictModule(QTRANStateValue(6), ["state"], ["state_value"])
        >>> loss = RobustQTRANLoss(qnet, joint, value)
        >>> _ = loss.make_value_estimator("contamination_td0", gamma=0.99, rho=0.1)
        >>> target_updater = SoftUpdate(loss, eps=0.99)
        >>> def step():
        ...     return {"agents": {"observation": torch.randn(8, n_agents, 5)},
        ...             "state": torch.randn(8, 6)}
        >>> no = torch.zeros(8, 1, dtype=torch.bool)
        >>> data = TensorDict(
        ...     {**step(), "next": {**step(), "reward": torch.randn(8, 1), "done": no,
        ...                         "terminated": no}}, [8]
        ... )
        >>> sorted(loss(qnet(data)).keys())
        ['loss_nopt', 'loss_opt', 'loss_td']
    """

    @dataclass
    class _AcceptedKeys:
        """Tensordict keys.

        Attributes:
            advantage (NestedKey): for the value estimator. Defaults to ``"advantage"``.
            value_target (NestedKey): for the value estimator. Defaults to ``"value_target"``.
            joint_value (NestedKey): joint action-value. Defaults to ``"joint_action_value"``.
            state_value (NestedKey): state value. Defaults to ``"state_value"``.
            action_value (NestedKey): values of all actions of each agent.
                Defaults to ``("agents", "action_value")``.
            action (NestedKey): actions taken. Defaults to ``("agents", "action")``.
            action_mask (NestedKey): availability of each action, used where the data has it.
                Defaults to ``("agents", "action_mask")``.
            state (NestedKey): state read by a plain dual module. Defaults to ``"state"``.
            dual_value (NestedKey): output of the dual network. Defaults to ``"dual_value"``.
            team_value (NestedKey): under ``"next"``, the value of :meth:`next_team_value`. Used
                where the data has it. Defaults to ``"team_value"``.
            priority (NestedKey): where the priority is written. Defaults to ``"td_error"``.
            reward (NestedKey): team reward. Defaults to ``"reward"``.
            done (NestedKey): end of a trajectory. Defaults to ``"done"``.
            terminated (NestedKey): end that is no truncation. Defaults to ``"terminated"``.
        """

        advantage: NestedKey = "advantage"
        value_target: NestedKey = "value_target"
        joint_value: NestedKey = "joint_action_value"
        state_value: NestedKey = "state_value"
        action_value: NestedKey = ("agents", "action_value")
        action: NestedKey = ("agents", "action")
        action_mask: NestedKey = ("agents", "action_mask")
        state: NestedKey = "state"
        dual_value: NestedKey = "dual_value"
        team_value: NestedKey = "team_value"
        priority: NestedKey = "td_error"
        reward: NestedKey = "reward"
        done: NestedKey = "done"
        terminated: NestedKey = "terminated"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

    local_value_network: TensorDictModule
    local_value_network_params: TensorDictParams
    target_local_value_network_params: TensorDictParams
    joint_value_network: TensorDictModule
    joint_value_network_params: TensorDictParams
    target_joint_value_network_params: TensorDictParams
    state_value_network: TensorDictModule
    state_value_network_params: TensorDictParams
    target_state_value_network_params: TensorDictParams
    dual_network: TensorDictModule | None
    dual_network_params: TensorDictParams | None
    target_dual_network_params: TensorDictParams | None

    def __init__(
        self,
        local_value_network: TensorDictModule,
        joint_value_network: TensorDictModule,
        state_value_network: TensorDictModule,
        *,
        dual_network: TensorDictModule | nn.Module | None = None,
        dual_loss: str = "linear",
        double_dqn: bool = False,
        burn_in: int = 0,
        check_finite: bool = True,
        log_values: bool = False,
        loss_function: str = "l2",
        delay_value: bool = True,
        action_space: str | TensorSpec = "categorical",
    ) -> None:
        super().__init__()
        self.delay_value = delay_value
        self.loss_function = loss_function
        self.action_space = _find_action_space(action_space)
        if self.action_space not in ("categorical", "one_hot"):
            raise ValueError(
                "RobustQTRANLoss needs a 'categorical' or 'one-hot' action space, got "
                f"{self.action_space!r}."
            )
        self._set_options(dual_loss, double_dqn, burn_in, check_finite, log_values)
        self.convert_to_functional(
            local_value_network, "local_value_network", create_target_params=delay_value
        )
        self.convert_to_functional(
            joint_value_network, "joint_value_network", create_target_params=delay_value
        )
        # The baseline does not enter the target, so it needs no target parameters.
        self.convert_to_functional(
            state_value_network, "state_value_network", create_target_params=False
        )
        self._own_dual_network(dual_network)
        self._own("local_value_network", "joint_value_network", "state_value_network")
        self._set_in_keys()

    _loss_keys = ("loss_td", "loss_opt", "loss_nopt")
    _asks_for_greedy_now = True

    def _set_in_keys(self) -> None:
        networks = [self.local_value_network, self.joint_value_network, self.state_value_network]
        written = set(self.local_value_network.out_keys)
        read = [key for network in networks for key in network.in_keys if key not in written]
        keys = [
            self.tensor_keys.action,
            ("next", self.tensor_keys.reward),
            ("next", self.tensor_keys.done),
            ("next", self.tensor_keys.terminated),
            *read,
            *(("next", key) for key in read),
        ]
        if self.dual_network is not None:
            keys += self.dual_network.in_keys
        self._in_keys = list(dict.fromkeys(keys))

    @property
    def in_keys(self) -> list[NestedKey]:
        """What the networks, the target and the dual network read."""
        return self._in_keys

    def _forward_value_estimator_keys(self, **kwargs) -> None:
        if self._value_estimator is not None:
            self._value_estimator.set_keys(**self._estimator_keys())
        super()._forward_value_estimator_keys(**kwargs)

    def _estimator_keys(self) -> dict[str, NestedKey]:
        names = ("advantage", "value_target", "reward", "done", "terminated")
        keys = {name: getattr(self.tensor_keys, name) for name in names}
        return keys | {"value": self.tensor_keys.joint_value}

    def _make_torchrl_value_estimator(self, value_type, **hyperparams) -> None:
        if isinstance(value_type, ValueEstimators):
            dispatch_value_estimator(
                self,
                value_type,
                supported=(ValueEstimators.TD0, ValueEstimators.TD1, ValueEstimators.TDLambda),
                tensor_keys=self._estimator_keys(),
                value_network=None,
                **hyperparams,
            )
        else:
            super()._make_torchrl_value_estimator(value_type, **hyperparams)

    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Compute the robust losses of a batch ``[*B]``, or ``[*B, T]`` of sequences."""
        keys = self.tensor_keys
        td, valid = self._prepare(tensordict)
        if not td.get(("next", keys.reward)).numel():
            return self._of_no_step(tensordict)
        action = td.get(keys.action)
        current = self._without_next(td)
        with self._online("local_value_network"):
            greedy, values = self._greedy_and_taken(current, td)
        current.set(keys.action, action)  # the network may have written its greedy ones
        with self._online("state_value_network"):
            run(self.state_value_network, current)
        baseline = current.get(keys.state_value)  # [*B, 1]
        with self._online("joint_value_network"):
            joint_value, joint_greedy = self._joint_values(current, action, greedy)
        check_team_reward(td, keys.reward, joint_value)

        # Eq. 12 and 13, greedy actions and actions taken: [*B, 2]
        both = torch.cat([joint_greedy, joint_value.detach()], -1)
        error = values.sum(-2) - both + baseline
        optimal, slack = error[..., 0].square(), error[..., 1].clamp_max(0.0).square()

        losses = TensorDict({}, [])
        pred_value = joint_value.squeeze(-1)
        next_value = self._kept_next_value(td, current)
        target_value = self._robust_target(td, pred_value, next_value, losses, valid)
        self._write_priority(tensordict, pred_value, target_value, valid)
        loss_td = distance_loss(pred_value, target_value, self.loss_function)
        losses["loss_td"] = self._mean(loss_td, valid)
        losses["loss_opt"] = self._mean(optimal, valid)
        losses["loss_nopt"] = self._mean(slack, valid)
        return self._finish(losses, td, pred_value, target_value, valid)

    def _greedy_and_taken(
        self, current: TensorDictBase, data: TensorDictBase
    ) -> tuple[Tensor, Tensor]:
        """Greedy actions as the data has actions, and values ``[*B, n_agents, 2]``.

        The values are those of the greedy actions and of the actions taken. What the other networks
        share of the local one goes into ``current``.
        """
        action = data.get(self.tensor_keys.action)
        masks = {key: data.get(key, None) for key in self._mask_keys()}
        masks = {key: mask for key, mask in masks.items() if mask is not None}
        readers = [self.joint_value_network, self.state_value_network]
        agents = self._fast_path(GreedyAndChosen, readers, gives=len(self._features()))
        if agents is not None and not masks:
            inputs = (data[key] for key in self._value_modules()[0].in_keys)
            greedy, values, *features = agents.greedy_and_chosen(*inputs, action)
            for key, value in zip(self._features(), features, strict=False):
                current.set(key, value)
            return greedy, values
        self._run_local_networks(current)
        action_value = current.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
        preference = action_value.detach()
        for key, mask in masks.items():
            check_mask_shape(key, mask, action_value)
            if not self._applies(key):
                preference = preference.masked_fill(~mask, torch.finfo(preference.dtype).min)
        greedy = preference.argmax(-1, keepdim=True)
        taken = self._chosen_value(action_value, action)
        taken = self._only_legal(taken, data, action_value.shape[-1])
        best = action_value.gather(-1, greedy)
        for mask in masks.values():  # an agent without a legal action has no greedy one
            best = best.masked_fill(~mask.any(-1, keepdim=True), float("nan"))
        greedy = self._format(greedy, action_value).to(action.dtype)
        return greedy, torch.cat([best, taken], -1)

    def _features(self) -> list[NestedKey]:
        """What the values' module writes beyond the values."""
        return self._value_modules()[0].out_keys[1:]

    def _joint_value(self, tensordict: TensorDictBase, action: Tensor) -> Tensor:
        td = tensordict.select(*self.joint_value_network.in_keys, strict=False)
        td.set(self.tensor_keys.action, action)
        run(self.joint_value_network, td)
        return td.get(self.tensor_keys.joint_value)

    def _joint_values(
        self, tensordict: TensorDictBase, action: Tensor, greedy: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Joint action-values of the actions taken, and without gradient of the greedy ones."""
        network = self.joint_value_network
        joint = fast_path(network, ValueAndOther)
        if joint is None or network.in_keys[1] != unravel_key(self.tensor_keys.action):
            with torch.no_grad():
                joint_greedy = self._joint_value(tensordict, greedy)
            return self._joint_value(tensordict, action), joint_greedy
        state, _, *features = (tensordict[key] for key in network.in_keys)
        return joint.value_and_other(state, action, greedy, *features)

    @torch.no_grad()
    def _next_value(
        self, tensordict: TensorDictBase, online: TensorDictBase | None = None
    ) -> Tensor:
        """Joint action-value of the next step at the greedy next actions, ``[*B, 1]``."""
        next_td, value = self._greedy_next(tensordict, online, self.joint_value_network)
        with self._target("joint_value_network"):
            joint_value = self._joint_value(next_td, next_td.get(self.tensor_keys.action))
        return joint_value.masked_fill(value.isnan().any(-2), float("nan"))
