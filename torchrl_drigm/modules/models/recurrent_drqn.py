"""A DRQN that carries its recurrent state along an episode, as a TensorDict module."""

from __future__ import annotations

from collections.abc import Sequence

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey, unravel_key
from torchrl.data import Composite, Unbounded
from torchrl.envs import TensorDictPrimer
from torchrl.modules import recurrent_mode

from torchrl_drigm.modules.models._drqn_inputs import check_recurrent
from torchrl_drigm.modules.models.drqn import DRQN

__all__ = ["RecurrentDRQN"]


class RecurrentDRQN(TensorDictModuleBase):
    """Acts step by step and learns on sequences, like TorchRL's ``GRUModule`` but for all agents.

    While acting, a tensordict ``[*B]`` is one step: the state is read from it and the next one
    written under ``"next"``. In TorchRL's recurrent mode, in which every loss runs, a tensordict
    ``[*B, T]`` is a batch of sequences: the state is that of the first step, is carried along, and
    the state after *every* step is written, so that single steps can go on from any of them.

    ``"is_init"`` means what it means to TorchRL's modules. While acting it marks the first step of
    an episode, where the state is zero whatever is read. In recurrent mode it marks where a
    sequence falls into pieces, each of which starts from the state that its own first step has
    stored: an episode from the zeros that the primer put there, and a slice of a ``SliceSampler``,
    which marks its first step too, from wherever the agents were. Slices may follow each other
    along ``T``, as they are sampled; in a dimension of their own, ``[*B, T]``, they take less time.

    Whether an action led to an observation is no matter of the flag, which a slice has as well:
    :class:`~torchrl_drigm.envs.transforms.PreviousAction` writes ``n_actions`` where none did.

    Where the tensordict has no state, it is zero; where it has no flags, nothing starts.

    Args:
        drqn (DRQN): the networks.
        in_keys (sequence of NestedKey): of the observation ``[*B, n_agents, F]``, the previous
            action, integers ``[*B, n_agents]`` up to ``n_actions`` for none, the state
            ``[*B, n_agents, S]`` and the flag of first steps, ``[*B, 1]``. Default:
            ``("agents", "observation")``, ``("agents", "previous_action")``,
            ``("agents", "recurrent_state")`` and ``"is_init"``.
        out_key (NestedKey): where to write the action values ``[*B, n_agents, n_actions]``.
            Default: ``("agents", "action_value")``.
        features_key (NestedKey, optional): where to write the input of the head,
            ``[*B, n_agents, hidden_size]``, which QTRAN's networks share. Default: nowhere.

    Examples:
        >>> import torch
        >>> from tensordict import TensorDict
        >>> from torchrl.modules import set_recurrent_mode
        >>> qnet = RecurrentDRQN(DRQN(5, n_actions=4, n_agents=3, core="gru", share_params=True))
        >>> agents = {
        ...     "observation": torch.randn(2, 9, 3, 5),
        ...     "previous_action": torch.randint(4, (2, 9, 3)),
        ... }
        >>> data = TensorDict(
        ...     {"agents": agents, "is_init": torch.zeros(2, 9, 1, dtype=torch.bool)}, [2, 9]
        ... )
        >>> with set_recurrent_mode(True):
        ...     qnet(data)["agents", "action_value"].shape
        torch.Size([2, 9, 3, 4])
        >>> qnet(data[:, 0])["next", "agents", "recurrent_state"].shape
        torch.Size([2, 3, 64])
    """

    writes_every_state = True  # what losses may go on from; TorchRL's modules write the last one

    def __init__(
        self,
        drqn: DRQN,
        in_keys: Sequence[NestedKey] = (
            ("agents", "observation"),
            ("agents", "previous_action"),
            ("agents", "recurrent_state"),
            "is_init",
        ),
        out_key: NestedKey = ("agents", "action_value"),
        features_key: NestedKey | None = None,
    ) -> None:
        super().__init__()
        if len(in_keys) != 4:
            raise ValueError(
                "in_keys must name the observation, the previous action, the recurrent state and "
                f"the flag of first steps, received {list(in_keys)}."
            )
        check_recurrent(drqn.core)
        self.drqn = drqn
        self.in_keys = [unravel_key(key) for key in in_keys]
        self.out_keys = [unravel_key(out_key), unravel_key(("next", in_keys[2]))]
        self.features_key = features_key
        if features_key is not None:
            self.out_keys.append(unravel_key(features_key))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Writes action values and states of a step ``[*B]`` or of sequences ``[*B, T]``."""
        observation, action, state, is_init = (
            tensordict.get(key, None) if optional else tensordict.get(key)
            for key, optional in zip(self.in_keys, (False, False, True, True), strict=True)
        )
        if recurrent_mode():
            value, states = self.drqn.unroll(observation, action, state, is_init)
        else:
            time = tensordict.ndim
            step = (x.unsqueeze(time) for x in (observation, action))
            is_init = None if is_init is None else is_init.unsqueeze(time)
            value, states = self.drqn.unroll(*step, state, is_init)
            value, states = value.squeeze(time), states.squeeze(time)
        tensordict.set(self.out_keys[0], value)
        tensordict.set(self.out_keys[1], states)
        if self.features_key is not None:
            features = states[..., : self.drqn.hidden_size].relu()
            tensordict.set(self.features_key, features)
        return tensordict

    def make_tensordict_primer(self) -> TensorDictPrimer:
        """A transform that puts the zero state into an environment's resets and specs."""
        spec = Unbounded((self.drqn.n_agents, self.drqn.state_size))
        key = self.in_keys[2]
        if isinstance(key, tuple):
            # nested beside the observation, with the agents in its batch size
            *parents, leaf = key
            spec = Composite({leaf: spec}, shape=(self.drqn.n_agents,))
            for parent in reversed(parents[1:]):
                spec = Composite({parent: spec}, shape=(self.drqn.n_agents,))
            key = parents[0]
        return TensorDictPrimer({key: spec}, expand_specs=True)
