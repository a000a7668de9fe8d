"""How a loss runs the networks that it was given, now and for the next step.

Axes: ``*B`` batch (``[*B, T]`` for sequences), ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import torch
from tensordict import TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictSequential
from tensordict.utils import NestedKey, expand_as_right, unravel_key
from torch import Tensor, nn
from torchrl.envs.utils import step_mdp
from torchrl.modules import QValueModule, SafeSequential, set_recurrent_mode

from torchrl_drigm.modules._calls import run, under
from torchrl_drigm.modules._fast_path import Offer, fast_path, is_changed
from torchrl_drigm.objectives._batch import in_next
from torchrl_drigm.objectives.multiagent._checks import (
    check_action_shape,
    check_mask_shape,
    check_next_action_mask,
)


class NetworksMixin:
    """Runs ``local_value_network`` as it was given, with online or target parameters.

    Modules are called as a whole, so that subclasses, hooks and wrappers count. Faster ways are
    taken where the network declares them, see :func:`~torchrl_drigm.modules.fast_path_of`.
    """

    def _own(self, *names: str) -> None:
        """Let networks, and the dual network, hold the very parameters and buffers of the loss."""
        for name in names if self.dual_network is None else (*names, "dual_network"):
            params = getattr(self, f"{name}_params")
            if isinstance(params, TensorDictParams):
                params.to_module(getattr(self, name), preserve_module_state=False)

    def __getstate__(self) -> dict:
        """Without what refers to this very object: a copy finds out anew."""
        return super().__getstate__() | {"_cache": {}}

    def _online(self, name: str) -> AbstractContextManager:
        """Context in which the network ``name`` runs with the loss's online parameters."""
        return under(getattr(self, f"{name}_params"), getattr(self, name))

    def _target(self, name: str) -> AbstractContextManager:
        """Context in which the network ``name`` runs with the loss's target parameters."""
        return under(self._target_params(name), getattr(self, name))

    def _target_params(self, name: str) -> TensorDictParams:
        """Where targets are not delayed the online ones, which the next value has no gradient to.

        TorchRL detaches them there, which ``vmap`` does not allow.
        """
        delayed = "target_" if self.delay_value else ""
        return getattr(self, f"{delayed}{name}_params")

    @staticmethod
    def _without_next(tensordict: TensorDictBase) -> TensorDictBase:
        """A copy that networks may write into, on the same tensors."""
        return tensordict.exclude("next").clone(False)

    # ---- the local network

    def _value_modules(self) -> list[nn.Module]:
        """The parts of the local network that the action values come from.

        A last ``QValueModule`` is left out, unless it applies a mask or something hangs on it:
        nobody asks in a loss which action is greedy now, and finding out takes as long as the head.
        """
        network = self.local_value_network
        if type(network) in (TensorDictSequential, SafeSequential) and not is_changed(network):
            *others, last = network.module
            if (
                type(last) is QValueModule
                and last.action_mask_key is None
                and not is_changed(last)
                and self.action_space in ("categorical", "one_hot")
            ):
                return others
        return [network]

    def _run_local_networks(self, tensordict: TensorDictBase) -> None:
        """Write the action values, ``[*B, n_agents, n_actions]``."""
        for module in self._value_modules():
            run(module, tensordict)

    def _fast_path(
        self, protocol: type[Offer], readers: Iterable[nn.Module], gives: int
    ) -> Offer | None:
        """The local network, if it declares a way to the values of some actions alone.

        ``None`` where there is none, or one of ``readers`` reads an output of the network beyond
        those that it ``gives``, the last ones.
        """
        modules = self._value_modules()
        if self.action_space != "categorical" or len(modules) != 1:
            return None
        left_out = self.local_value_network.out_keys
        kept = {self.tensor_keys.action, getattr(self.tensor_keys, "local_value", None)}
        if gives:
            kept |= set(modules[0].out_keys[-gives:])
        left_out = {unravel_key(key) for key in left_out} - kept
        if any(unravel_key(key) in left_out for reader in readers for key in reader.in_keys):
            return None
        return fast_path(modules[0], protocol)

    def _chosen_value(self, action_value: Tensor, action: Tensor) -> Tensor:
        """Values ``[*B, n_agents, 1]`` of the actions taken, from ``[*B, n_agents, n_actions]``."""
        check_action_shape(self.tensor_keys.action, action, action_value, self.action_space)
        if self.action_space == "categorical":
            return torch.gather(action_value, -1, action.unsqueeze(-1))
        value = (action_value * action.to(action_value.dtype)).sum(-1, keepdim=True)
        if self.action_space == "one_hot":
            value = value.masked_fill((action != 0).sum(-1, keepdim=True) != 1, float("nan"))
        return value

    # ---- masks of legal actions

    def _mask_keys(self) -> list[NestedKey]:
        """Of masks of legal actions: the loss's, and those that the network itself applies."""
        keys = [unravel_key(self.tensor_keys.action_mask)]
        for module in _parts(self.local_value_network):
            if isinstance(module, QValueModule) and module.action_mask_key is not None:
                keys.append(unravel_key(module.action_mask_key))
        return list(dict.fromkeys(keys))

    def _applies(self, mask_key: NestedKey) -> bool:
        """Whether the network itself gives forbidden actions the lowest value there is."""
        return mask_key in {unravel_key(key) for key in self.local_value_network.in_keys}

    def _next_masks(self, tensordict: TensorDictBase) -> dict[NestedKey, Tensor]:
        """The next step's masks, by their keys."""
        masks = {key: tensordict.get(("next", key), None) for key in self._mask_keys()}
        for key, mask in masks.items():
            if mask is None:
                check_next_action_mask(tensordict, key, self._applies(key))
        return {key: mask for key, mask in masks.items() if mask is not None}

    # ---- the next step

    @property
    def _is_recurrent(self) -> bool:
        """Whether the local network reads a state, and writes it for the next step."""
        out_keys = self.local_value_network.out_keys
        return any(in_next(key) in out_keys for key in self.local_value_network.in_keys)

    def _next_local_values(
        self, tensordict: TensorDictBase, params: TensorDictParams, current: TensorDictBase | None
    ) -> TensorDictBase:
        """The next step, with the outputs of the local networks under ``params``.

        A recurrent network takes each next step from the state that the same parameters carry to
        the current one: exact also at the last step of an episode in mid-sequence, whose next step
        is not the following one. ``current`` has what the networks wrote there, if they ran.
        """
        with under(params, self.local_value_network):
            if not self._is_recurrent:
                next_td = step_mdp(tensordict, keep_other=False)
                self._run_local_networks(next_td)
                return next_td
            tensordict = tensordict.clone(False)
            if not self._writes_every_state:
                self._step_along(tensordict)
            elif current is None:
                self._run_local_networks(tensordict)
            else:
                tensordict.update(current.select("next").detach())
            next_td = step_mdp(tensordict, keep_other=False)
            for key in self._start_keys():  # it goes on from this step, whatever flags say
                if tensordict.get(key, None) is not None:
                    next_td.set(key, torch.zeros_like(tensordict.get(key)))
            with set_recurrent_mode(False):
                self._run_local_networks(next_td)
        return next_td

    def _start_keys(self) -> list[NestedKey]:
        """Of the flags of steps at which nothing is carried over."""
        in_keys = self.local_value_network.in_keys
        return [key for key in in_keys if key == "is_init" or key[-1] == "is_init"]

    @property
    def _writes_every_state(self) -> bool:
        """Whether the state after *every* step of a sequence is written, as a module may declare.

        TorchRL's recurrent modules write the last one, and zeros at the other steps.
        """
        parts = _parts(self.local_value_network)
        return any(getattr(part, "writes_every_state", False) for part in parts)

    def _step_along(self, tensordict: TensorDictBase) -> None:
        """Write the state after every step of sequences ``[*B, T]``, one step after the other.

        Where ``is_init`` is set a step starts from the state that the data has there, or from zero.
        """
        in_keys = self.local_value_network.in_keys
        states = [key for key in in_keys if in_next(key) in self.local_value_network.out_keys]
        flags = self._start_keys()
        carried, after = {}, {key: [] for key in states}
        for step in tensordict.unbind(-1):
            step = step.exclude("next").clone(False)
            starts = next((step.get(key) for key in flags if step.get(key, None) is not None), None)
            for key, state in carried.items():
                if starts is not None:
                    stored = step.get(key, torch.zeros_like(state))
                    state = torch.where(expand_as_right(starts.squeeze(-1), state), stored, state)
                step.set(key, state)
            for key in flags:  # what it means has been done
                if step.get(key, None) is not None:
                    step.set(key, torch.zeros_like(step.get(key)))
            with set_recurrent_mode(False):
                self._run_local_networks(step)
            carried = {key: step.get(in_next(key)) for key in states}
            for key, state in carried.items():
                after[key].append(state)
        for key, sequence in after.items():
            tensordict.set(in_next(key), torch.stack(sequence, tensordict.ndim - 1))

    @torch.no_grad()
    def _greedy_next(
        self, tensordict: TensorDictBase, online: TensorDictBase | None, reader: nn.Module
    ) -> tuple[TensorDictBase, Tensor]:
        """The next step with the target networks' outputs, and the values of its greedy actions.

        If ``reader`` reads actions, the greedy ones are written there, in the action space of the
        data, in place of any others; which action has the best value takes ten times as long to
        find out as the value. With ``double_dqn`` the online networks choose them; ``online`` is
        the current step with their outputs, or ``None``. Values are ``[*B, n_agents, 1]``, and NaN
        for an agent without any legal action: the value of such a step would be a number that means
        nothing.
        """
        masks = self._next_masks(tensordict)
        params = self._target_params("local_value_network")
        next_td = self._next_local_values(tensordict, params, None)
        if self.action_space not in ("categorical", "one_hot"):
            return next_td, next_td.get(self.tensor_keys.local_value)
        value = next_td.get(self.tensor_keys.action_value)  # [*B, n_agents, n_actions]
        preference = value
        if self.double_dqn:
            params = self.local_value_network_params
            chosen_by = self._next_local_values(tensordict, params, online)
            preference = chosen_by.get(self.tensor_keys.action_value)
        for key, mask in masks.items():
            check_mask_shape(("next", key), mask, value)
            if not self._applies(key):
                preference = preference.masked_fill(~mask, torch.finfo(preference.dtype).min)
        action = unravel_key(self.tensor_keys.action)
        if self.double_dqn or action in {unravel_key(key) for key in reader.in_keys}:
            greedy = preference.argmax(-1, keepdim=True)
            next_td.set(action, self._format(greedy, value))
            value = value.gather(-1, greedy)
        else:
            value = preference.amax(-1, keepdim=True)
        for mask in masks.values():
            value = value.masked_fill(~mask.any(-1, keepdim=True), float("nan"))
        return next_td, value

    def _format(self, greedy: Tensor, action_value: Tensor) -> Tensor:
        """Greedy indices ``[*B, n_agents, 1]`` in the action space of the data."""
        if self.action_space == "categorical":
            return greedy.squeeze(-1)
        return torch.zeros_like(action_value).scatter(-1, greedy, 1.0)


def _parts(network: nn.Module) -> Iterator[nn.Module]:
    """What a sequence of modules is made of, sequences in it taken apart."""
    if isinstance(network, TensorDictSequential):
        for module in network.module:
            yield from _parts(module)
    else:
        yield network
