"""QTRAN with a robust Bellman target; nominal QTRAN at rho = 0.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModule, dispatch
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.data.tensor_specs import TensorSpec
from torchrl.data.utils import _find_action_space
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import ValueEstimators, dispatch_value_estimator, distance_loss

from torchrl_drigm.modules._calls import run
from torchrl_drigm.objectives.multiagent._checks import check_team_reward
from torchrl_drigm.objectives.multiagent._deviations import (
    check_deviation_weight,
    deviation_loss,
)
from torchrl_drigm.objectives.multiagent._joint_actions import JointActionsMixin
from torchrl_drigm.objectives.multiagent._robust_loss import RobustLossMixin


class RobustQTRANLoss(JointActionsMixin, RobustLossMixin, LossModule):
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

    :math:`L_{nopt}` says little of actions that are not taken, or that are worth less than the
    agents think. With ``deviation_weight`` :math:`=\alpha` a further term compares at
    :math:`\mathbf a'`, the greedy joint action in which one agent, drawn anew for each step, takes
    another action, drawn from its legal ones:

    .. math::
        L_{dev} = w\,e^2, \quad e = \sum_i Q_i(h_i, a'_i) - \hat Q_{tot}(\mathbf h, \mathbf a')
        + V_{tot}(\mathbf h), \quad w = \alpha \text{ where } e > 0, \text{ otherwise } 1

    with the weights of Weighted QMIX (Rashid et al. 2020, their optimistic weighting). A small
    one lets go of a local optimum that no single agent can leave, as QTRAN should; 1 may not.

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
        deviation_weight (float, optional): :math:`\alpha` of :math:`L_{dev}`, from 0 to 1. Default:
            ``None``, which leaves the term out, as in the paper.
        delay_value (bool): whether to keep target networks. Defaults to ``True``.
        action_space (str or TensorSpec): ``"categorical"`` or ``"one-hot"``. Defaults to
            ``"categorical"``.

    Inputs: as :class:`~torchrl_drigm.objectives.RobustQMixerLoss`.

    Returns:
        TensorDict with the scalars ``loss_td``, ``loss_opt``, ``loss_nopt``, with
        ``deviation_weight`` ``loss_deviation``, and ``loss_dual`` where the estimator has a dual.
        The input receives ``"td_error"``, ``[*B, 1]``.

    Raises:
        ValueError: as :class:`~torchrl_drigm.objectives.RobustQMixerLoss`, and for an action space
            that is neither categorical nor one-hot, a ``deviation_weight`` out of range, or
            deviations in the data of another shape or type.

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
            deviation (NestedKey): of :math:`L_{dev}`, which agent takes which other action, by
                :func:`~torchrl_drigm.objectives.draw_deviations`. Drawn where the data lacks it.
                Defaults to ``("agents", "deviation")``.
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
        deviation: NestedKey = ("agents", "deviation")
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
        deviation_weight: float | None = None,
        delay_value: bool = True,
        action_space: str | TensorSpec = "categorical",
    ) -> None:
        super().__init__()
        self.delay_value = delay_value
        self.loss_function = loss_function
        check_deviation_weight(deviation_weight)
        self.deviation_weight = deviation_weight
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

    @property
    def _loss_keys(self) -> tuple[str, ...]:
        deviation = () if self.deviation_weight is None else ("loss_deviation",)
        return ("loss_td", "loss_opt", "loss_nopt", *deviation)

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
            others, values = self._compared(current, td)
        current.set(keys.action, action)  # the network may have written its greedy ones
        with self._online("state_value_network"):
            run(self.state_value_network, current)
        baseline = current.get(keys.state_value)  # [*B, 1]
        with self._online("joint_value_network"):
            joint_value, [joint_greedy, *joint_deviation] = self._joint_values(
                current, action, others
            )
        check_team_reward(td, keys.reward, joint_value)

        # Eq. 12 and 13, greedy actions, actions taken and a deviation: [*B, 2], or [*B, 3]
        every = torch.cat([joint_greedy, joint_value.detach(), *joint_deviation], -1)
        error = values.sum(-2) - every + baseline
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
        if self.deviation_weight is not None:
            deviation = deviation_loss(error[..., 2], self.deviation_weight)
            losses["loss_deviation"] = self._mean(deviation, valid)
        return self._finish(losses, td, pred_value, target_value, valid)

    @torch.no_grad()
    def _next_value(
        self, tensordict: TensorDictBase, online: TensorDictBase | None = None
    ) -> Tensor:
        """Joint action-value of the next step at the greedy next actions, ``[*B, 1]``."""
        next_td, value = self._greedy_next(tensordict, online, self.joint_value_network)
        with self._target("joint_value_network"):
            joint_value = self._joint_value(next_td, next_td.get(self.tensor_keys.action))
        return joint_value.masked_fill(value.isnan().any(-2), float("nan"))
