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
from torchrl.data.tensor_specs import TensorSpec
from torchrl.modules.tensordict_module.actors import QValueActor
from torchrl.objectives.multiagent import QMixerLoss
from torchrl.objectives.utils import distance_loss

from torchrl_drigm.modules._calls import run
from torchrl_drigm.modules._fast_path import ChosenValue
from torchrl_drigm.objectives.multiagent._checks import check_team_reward
from torchrl_drigm.objectives.multiagent._robust_loss import RobustLossMixin


class RobustQMixerLoss(RobustLossMixin, QMixerLoss):
    r"""Distributionally robust QMIX and VDN loss, a drop-in for TorchRL's ``QMixerLoss``.

    The team value :math:`Q_{tot}(\mathbf h, \mathbf a; \theta)` is regressed on

    .. math::
        y = r + \gamma\,\sigma(V'), \qquad
        V' = (1 - \text{terminated})\, Q_{tot}(\mathbf h', \bar{\mathbf a}'; \theta^-)

    where :math:`\sigma` is the worst case over an
    :class:`~torchrl_drigm.uncertainty.UncertaintySet` (Eq. 8 and 15 for
    :math:`\rho`-contamination, Eq. 10 and 16 for total variation) and
    :math:`\bar{\mathbf a}'` is greedy per agent (Def. 2 makes that the joint argmax), among the
    available actions where there is a mask. The mixer decides between VDN and QMIX.

    The default estimator is ``CONTAMINATION_TD0`` at :math:`\rho = 0`: TorchRL's own loss, to the
    last bit, or up to rounding with a :class:`~torchrl_drigm.modules.DRQN`, which computes the
    values of chosen actions alone. Every estimator of ``QMixerLoss`` can be asked for as well.

    Args:
        local_value_network (QValueActor or nn.Module): per-agent Q-networks; writes
            ``("agents", "action_value")``, ``[*B, n_agents, n_actions]``.
        mixer_network (TensorDictModule or nn.Module): maps ``("agents", "chosen_action_value")``,
            ``[*B, n_agents, 1]``, and a state for QMIX, to ``"chosen_action_value"``, ``[*B, 1]``.

    Keyword Args:
        dual_network (TensorDictModule or nn.Module, optional): the dual numbers of a set that has
            some, ``[*B, n_duals]``; one, :math:`\eta(s, \mathbf a)`, of total variation. A plain
            module is called with ``"state"`` and ``("agents", "action")``.
        dual_loss (str): ``"linear"`` (Eq. 17, converges to the conditional optimum) or
            ``"squared"`` (the paper's released configuration, of total variation alone, which has
            another minimiser unless the next state is certain and its value negative). Defaults to
            ``"linear"``.
        double_dqn (bool): take the greedy next action from the online networks and its value from
            the target ones. Defaults to ``False``, as in the paper.
        burn_in (int): number of first steps of a sequence ``[*B, T]`` that only warm up the
            recurrent state and do not count in the loss. Defaults to 0.
        check_finite (bool): refuse rewards, observations and values that are not finite. Defaults
            to ``True``; skipped inside ``torch.compile``.
        log_values (bool): also return the detached means ``pred_value``, ``target_value`` and,
            with a dual, ``dual_value`` (``dual_value_0``, ``dual_value_1`` of two). Defaults to
            ``False``, so that the outputs are TorchRL's.
        **kwargs: ``loss_function``, ``delay_value`` and ``action_space``, as in
            :class:`~torchrl.objectives.multiagent.QMixerLoss`.

    Inputs (keys can be renamed by ``set_keys``): ``("agents", "action")``, what the networks read
    at the root and under ``"next"``, ``("next", "reward")`` ``[*B, 1]`` (team reward),
    ``("next", "done")`` and ``("next", "terminated")`` ``[*B, 1]``. Steps are masked out by
    ``("collector", "mask")``, ``False`` for padding, or by the entry that ``loss_mask_key`` of
    :class:`~torchrl.objectives.LossModule` names; ``QMixerLoss`` averages over them. Masks and
    flags may be of any type that holds 0 and 1; categorical actions are integers ``[*B, n_agents]``
    or ``[*B, n_agents, 1]``.

    Returns:
        TensorDict with ``loss``, and ``loss_dual`` where the estimator has a dual, both scalars.
        The gradient of each reaches only its own parameters, so one optimizer for all or one for
        each work alike. The input receives ``"td_error"``, ``[*B, 1]``, as priority.

    A step that is masked out counts nowhere, whatever it holds: not in means, gradients, λ-returns
    or priorities (0 there). A batch without a step that counts, empty or masked throughout, has
    loss 0 and gradient 0.

    Raises:
        ValueError: for data without a team reward, a ``done`` flag, actions, or what the dual
            network reads; an uncertainty set that needs a missing dual network, or one with
            another number of outputs; a mixer whose
            agent count differs; a reward with an agent dimension; a missing next action mask;
            masks, flags or actions of another shape; a bad ``burn_in``; an agent without a legal
            next action on a step that counts and is not terminal; losses that are not finite.

    Examples:
        >>> from torchrl.modules import QValueModule, SafeSequential
        >>> from torchrl.modules.models.multiagent import QMixer
        >>> from torchrl.objectives import SoftUpdate
        >>> from torchrl_drigm.modules import DualNetwork
        >>> from torchrl_drigm.uncertainty import TotalVariation
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
        >>> _ = loss.make_value_estimator(TotalVariation(rho=0.2, worst_value=-10.0), gamma=0.997)
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
            team_value (NestedKey): under ``"next"``, the value of :meth:`next_team_value`. Used
                where the data has it. Defaults to ``"team_value"``.
        """

        action_mask: NestedKey = ("agents", "action_mask")
        state: NestedKey = "state"
        dual_value: NestedKey = "dual_value"
        team_value: NestedKey = "team_value"

    tensor_keys: _AcceptedKeys
    default_keys = _AcceptedKeys

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
        super().__init__(
            local_value_network,
            mixer_network,
            loss_function=loss_function,
            delay_value=delay_value,
            action_space=action_space,
        )
        self._set_options(dual_loss, double_dqn, burn_in, check_finite, log_values)
        self._own_dual_network(dual_network)
        self._own("local_value_network", "mixer_network")
        self._set_in_keys()

    _loss_keys = ("loss",)

    def _set_in_keys(self) -> None:
        super()._set_in_keys()
        if self.dual_network is not None:
            self._in_keys = list(dict.fromkeys([*self._in_keys, *self.dual_network.in_keys]))

    # The batch size that dispatch infers from nested agent entries takes in their feature
    # dimension, and the chosen action values no longer fit: no batch size is needed here.
    @dispatch(auto_batch_size=False)
    def forward(self, tensordict: TensorDictBase) -> TensorDict:
        """Compute the robust loss of a batch ``[*B]``, or ``[*B, T]`` of sequences."""
        td, valid = self._prepare(tensordict)
        if not td.get(("next", self.tensor_keys.reward)).numel():
            return self._of_no_step(tensordict)
        current = self._without_next(td)
        with self._online("local_value_network"):
            local_value = self._local_value(current, td)
        self._check_n_agents(local_value)
        # the mixer may read the actions that were taken; the network wrote its greedy ones
        current.set(self.tensor_keys.action, td.get(self.tensor_keys.action))
        current.set(self.tensor_keys.local_value, local_value)  # [*B, n_agents, 1]
        with self._online("mixer_network"):
            run(self.mixer_network, current)
        pred_value = current[self.tensor_keys.global_value]  # [*B, 1]
        check_team_reward(td, self.tensor_keys.reward, pred_value)
        pred_value = pred_value.squeeze(-1)

        losses = TensorDict({}, [])
        next_value = self._kept_next_value(td, current)
        target_value = self._robust_target(td, pred_value, next_value, losses, valid)
        self._write_priority(tensordict, pred_value, target_value, valid)
        loss = distance_loss(pred_value, target_value, self.loss_function)
        losses["loss"] = self._mean(loss, valid)
        return self._finish(losses, td, pred_value, target_value, valid)

    def _local_value(self, current: TensorDictBase, data: TensorDictBase) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of the actions taken; ``current`` gets what networks write.

        A network that declares how to compute them without those of all actions does so.
        """
        action = data.get(self.tensor_keys.action)
        agents = self._fast_path(ChosenValue, [self.mixer_network], gives=0)
        if agents is not None:
            in_keys = self._value_modules()[0].in_keys
            return agents.chosen_value(*(data[key] for key in in_keys), action)
        self._run_local_networks(current)
        action_value = current.get(self.tensor_keys.action_value)
        value = self._chosen_value(action_value, action)
        return self._only_legal(value, data, action_value.shape[-1])

    @torch.no_grad()
    def _next_value(
        self, tensordict: TensorDictBase, online: TensorDictBase | None = None
    ) -> Tensor:
        """Team value of the next step at the greedy next actions, ``[*B, 1]``, without gradient."""
        next_td, value = self._greedy_next(tensordict, online, self.mixer_network)
        next_td.set(self.tensor_keys.local_value, value)
        with self._target("mixer_network"):
            run(self.mixer_network, next_td)
        return next_td.get(self.tensor_keys.global_value)

    def _check_n_agents(self, local_value: Tensor) -> None:
        expected = getattr(getattr(self.mixer_network, "module", None), "n_agents", None)
        if expected is not None and local_value.shape[-2] != expected:
            raise ValueError(
                f"the mixer was built for n_agents={expected}, and the local values have shape "
                f"{tuple(local_value.shape)}, expected [*B, {expected}, 1]. Build the mixer with "
                f"n_agents={local_value.shape[-2]}."
            )
