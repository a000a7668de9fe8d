"""Many battles of a SMAX environment of JaxMARL's, in one jitted call.

Axes: ``B`` battles (``num_envs``), ``n`` allies, one agent each, ``m`` enemies, ``A`` actions.
"""

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs.common import _EnvWrapper

from torchrl_drigm.envs.libs._smax_layout import enemy_position, state_scale
from torchrl_drigm.envs.libs._smax_programs import (
    import_jaxmarl,
    jax_device,
    programs,
    require_smax,
)

__all__ = ["SMAXWrapper"]

_FLAGS = ("done", "terminated", "truncated", ("info", "battle_won"))


class SMAXWrapper(_EnvWrapper):
    """Many battles of one of JaxMARL's SMAX environments, all in one jitted call.

    The allies are the agents; the enemies are played by the wrapped environment. Keys:

    - ``("agents", "observation")`` ``[B, n, F]`` float32: what each ally sees of the other allies
      and of the enemies within its sight, then its own features; zeros for what is out of sight or
      dead, and all zeros for a dead ally.
    - ``("agents", "action_mask")`` ``[B, n, A]`` bool: the actions that are available now. The
      mask of the action spec follows it, so random actions are available ones. A
      ``TransformedEnv`` keeps specs of its own: append TorchRL's ``ActionMask`` there.
    - ``("agents", "action")`` ``[B, n]`` int64: 4 moves, stop, then one attack per enemy. Stop
      is always available, to a dead ally too.
    - ``"state"`` ``[B, S]`` float32: JaxMARL's world state.
    - ``"reward"`` ``[B, 1]`` float32: the team's, taken once. JaxMARL hands the same number, the
      enemies' loss of health as a fraction plus 1 for a victory, to every ally.
    - ``"terminated"`` ``[B, 1]``: one side, or both, is dead. ``"truncated"``: a battle with both
      sides alive is cut by the step limit; it is never terminated too. ``"done"``: either.
    - ``("info", "battle_won")`` ``[B, 1]`` bool: all enemies are dead and an ally lives; a draw is
      no victory. False until the last step.

    JaxMARL's ``step`` replaces the last observation of a battle by the first of the next. This
    class steps without that, so the terminal observation is there, and starts the copies over that
    a reset asks for. JaxMARL compares the step count with ``max_steps`` before it counts the step:
    its battles, and hence these, last up to ``max_steps + 1`` steps.

    Each battle has a random key of its own, split in two by each of its resets and steps: what
    happens in one does not depend on the others. The second half is the key that JaxMARL's
    ``reset`` or ``step`` takes, which therefore gives the same battles. The state dict holds keys
    and battles, so a checkpoint resumes exactly; the caller keeps the last observations, as with
    any environment.

    On the CPU, JAX's arrays become torch's without a copy. They go to a CUDA device without a copy
    if JAX has that device, and through the CPU otherwise.

    Args:
        env: JaxMARL's ``HeuristicEnemySMAX``, or another of its ``EnemySMAX`` classes, with
            discrete actions.
        num_envs: number of battles, ``B``.
        seed: seed of the battles; drawn from torch's generator if ``None``.
        device: where the tensors go.

    Raises:
        ImportError: JaxMARL is not installed.
        TypeError: ``env`` is not an ``EnemySMAX``.
        ValueError: ``num_envs`` is below 1, or the actions of ``env`` are not discrete.

    Example:
        >>> from torchrl_drigm.envs import SMAXEnv, SMAXWrapper
        >>> battle = SMAXEnv("3s_vs_5z", num_envs=2, seed=0)  # or jaxmarl.make(...)
        >>> env = SMAXWrapper(battle._env, num_envs=2, seed=0)
        >>> env.rollout(3)["agents", "observation"].shape
        torch.Size([2, 3, 3, 101])
    """

    git_url = "https://github.com/FLAIROx/JaxMARL"
    libname = "jaxmarl"

    def __init__(
        self,
        env,
        num_envs: int = 64,
        *,
        seed: int | None = None,
        device: torch.device | str | int | None = None,
    ) -> None:
        require_smax(type(self).__name__)
        if not isinstance(num_envs, int) or isinstance(num_envs, bool) or num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r} must be an int of at least 1.")
        super().__init__(env=env, device=device, batch_size=torch.Size([num_envs]))
        self.set_seed(seed)

    @property
    def lib(self):
        """The ``jaxmarl`` package."""
        return import_jaxmarl()

    def _check_kwargs(self, kwargs: dict) -> None:
        import_jaxmarl()
        from jaxmarl.environments.smax.heuristic_enemy_smax_env import EnemySMAX

        env = kwargs["env"]
        if not isinstance(env, EnemySMAX):
            raise TypeError(
                f"env is a {type(env).__name__}; expected an EnemySMAX of JaxMARL, such as "
                'jaxmarl.make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3s_vs_5z")).'
            )
        if env.action_type != "discrete":
            raise ValueError(
                f"env has action_type={env.action_type!r}; expected 'discrete', which value "
                "factorization needs."
            )

    def _build_env(self, env):
        return env

    def _make_specs(self, env) -> None:
        self.n_agents, self.n_enemies = env.num_allies, env.num_enemies
        self.n_actions = env.num_ally_actions
        batch, n, device = self.batch_size, self.n_agents, self.device
        agents = (*batch, n)

        def flag() -> Categorical:
            return Categorical(2, shape=(*batch, 1), dtype=torch.bool, device=device)

        self.observation_spec = Composite(
            agents=Composite(
                observation=Unbounded((*agents, env.obs_size), device=device),
                action_mask=Categorical(
                    2, shape=(*agents, self.n_actions), dtype=torch.bool, device=device
                ),
                shape=agents,
                device=device,
            ),
            state=Unbounded((*batch, env.state_size), device=device),
            info=Composite(battle_won=flag(), shape=batch, device=device),
            shape=batch,
            device=device,
        )
        self.action_spec = Composite(
            agents=Composite(
                action=Categorical(self.n_actions, shape=agents, dtype=torch.int64, device=device),
                shape=agents,
                device=device,
            ),
            shape=batch,
            device=device,
        )
        self.reward_spec = Unbounded((*batch, 1), device=device)
        self.done_spec = Composite(
            done=flag(), terminated=flag(), truncated=flag(), shape=batch, device=device
        )

    def _init_env(self) -> None:
        import jax
        import jax.numpy as jnp

        self._programs = programs(self._env)
        self._jax_device = jax_device(self.device)
        self._ahead = (None, None), None, None
        # Placeholders of the right shapes: every copy is replaced by its first reset.
        battle = jax.eval_shape(self._env.reset, jax.random.PRNGKey(0))[1]
        self._battles = self._put(
            jax.tree.map(
                lambda leaf: jnp.zeros((*self.batch_size, *leaf.shape), leaf.dtype), battle
            )
        )

    def _put(self, tree):
        import jax

        return jax.device_put(tree, self._jax_device)

    def _set_seed(self, seed: int | None) -> None:
        import jax

        if seed is None:
            seed = torch.randint(2**31, ()).item()
        self._keys = self._put(jax.random.split(jax.random.PRNGKey(seed), *self.batch_size))

    def feature_index(self, name: str) -> dict[str, Tensor]:
        """Where a named feature is in an agent's observation, from JaxMARL's own layout.

        Args:
            name: ``"enemy_position"``, relative to the observer and divided by its sight range.

        Returns:
            Int64 tensors: ``"position"`` ``[m, 2]``, the indices of x and y of each enemy;
            ``"visible"`` ``[m]``, the index of the feature that is positive exactly where that
            enemy is seen: its health.

        Raises:
            ValueError: the name is unknown, or the observation is not a list of units.

        Example:
            >>> from torchrl_drigm.envs import SMAXEnv
            >>> SMAXEnv("3s_vs_5z", num_envs=2, seed=0).feature_index("enemy_position")
            {'position': tensor([[27, 28],
                                 [40, 41],
                                 [53, 54],
                                 [66, 67],
                                 [79, 80]]),
             'visible': tensor([26, 39, 52, 65, 78])}
        """
        if name != "enemy_position":
            raise ValueError(f"name={name!r} is unknown; valid names: enemy_position.")
        return enemy_position(self._env)

    def state_scale(self) -> Tensor:
        """Magnitude ``[S]`` of every number of the state, from JaxMARL's own layout.

        JaxMARL scales observations, but not the state: positions are in units of the map and
        cooldowns in seconds. Divided by these, all are of order 1. A cooldown falls on while its
        unit does not attack; ten times the longest one is taken as the magnitude.

        Example:
            >>> from torchrl_drigm.envs import SMAXEnv
            >>> SMAXEnv("3s_vs_5z", num_envs=2, seed=0).state_scale()[:5]
            tensor([ 1.0000, 32.0000, 32.0000, 18.7000,  1.0000])
        """
        return state_scale(self._env)

    def _observe(self, observation, state, available, flags: Tensor) -> dict:
        """What a step and a reset give; ``flags`` ``[4, B, 1]`` as the program orders them."""
        done, terminated, truncated, won = flags.unbind(0)
        mask = self._to_torch(available)
        self.full_action_spec["agents", "action"].update_mask(mask)
        agents = {"observation": self._to_torch(observation), "action_mask": mask}
        return {
            "agents": TensorDict(agents, (*self.batch_size, self.n_agents), device=self.device),
            "state": self._to_torch(state),
            "info": TensorDict({"battle_won": won}, self.batch_size, device=self.device),
            "done": done,
            "terminated": terminated,
            "truncated": truncated,
        }

    def _to_torch(self, array) -> Tensor:
        tensor = torch.from_dlpack(array)
        return tensor if self.device is None else tensor.to(self.device)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        # int32, as JaxMARL keeps them; the copy is ours, so that JAX may share it
        actions = tensordict.get(("agents", "action")).to("cpu", torch.int32, copy=True).numpy()
        self._keys, self._battles, seen, reward, flags = self._programs.step(
            self._keys, self._battles, actions
        )
        seen = self._observe(*seen, self._to_torch(flags).unsqueeze(-1))
        if seen["done"].any():
            # Most likely the next call resets exactly these: JAX works on it while TorchRL goes on.
            self._ahead = self._start_reset(seen["done"])
        seen["reward"] = self._to_torch(reward).unsqueeze(-1)
        return TensorDict(seen, self.batch_size, device=self.device)

    def _start_reset(self, reset: Tensor) -> tuple:
        """What is reset (keys, battles), which of them ``[B]``, and the program's result."""
        chosen = reset.reshape(self.batch_size).to("cpu", copy=True)
        result = self._programs.reset(self._keys, self._battles, chosen.numpy())
        return (self._keys, self._battles), chosen, result

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs) -> TensorDictBase:
        reset = None if tensordict is None else tensordict.get("_reset", None)
        if reset is None:
            reset = torch.ones(self.batch_size, dtype=torch.bool)
        of, chosen, result = self._ahead
        # by identity: whatever replaces keys or battles makes the reset ahead void
        known = of[0] is self._keys and of[1] is self._battles
        if not known or not torch.equal(chosen, reset.reshape(self.batch_size).cpu()):
            _, _, result = self._start_reset(reset)
        self._keys, self._battles, seen = result

        flags = torch.zeros(4, *self.batch_size, 1, dtype=torch.bool, device=self.device)
        return TensorDict(self._observe(*seen, flags), self.batch_size, device=self.device)

    def _reset_proc_data(
        self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        # TorchRL chooses row by row between what was and what _reset returns. That is what all
        # battles see, those that go on included: the flags alone are left to choose, and theirs
        # are all False after a reset.
        flags = {} if tensordict is None else {k: tensordict.get(k, None) for k in _FLAGS}
        if tensordict is None or any(f is None for f in flags.values()):
            return super()._reset_proc_data(tensordict, tensordict_reset)
        reset = tensordict.pop("_reset", None)
        if reset is not None:
            for key, before in flags.items():
                tensordict_reset.set(key, before & ~reset)
        return tensordict.update(tensordict_reset)

    def get_extra_state(self) -> dict[str, Tensor]:
        """Random keys and battles by name, for the state dict; on the CPU."""
        import jax
        import numpy as np

        leaves, _ = jax.tree_util.tree_flatten_with_path((self._keys, self._battles))
        return {
            jax.tree_util.keystr(path): torch.from_numpy(np.array(leaf)) for path, leaf in leaves
        }

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores random keys and battles, and the mask of the action spec."""
        import jax

        leaves, tree = jax.tree_util.tree_flatten_with_path((self._keys, self._battles))
        restored = []
        for path, leaf in leaves:
            name = jax.tree_util.keystr(path)
            if name not in state or tuple(state[name].shape) != leaf.shape:
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(
                    f"state dict: {name!r} is {found}; expected shape {leaf.shape}. Load it into "
                    "an environment of the same scenario and num_envs."
                )
            restored.append(state[name].cpu().numpy().astype(leaf.dtype))
        self._keys, self._battles = self._put(jax.tree_util.tree_unflatten(tree, restored))
        available = self._programs.observe(self._battles)[-1]
        self.full_action_spec["agents", "action"].update_mask(self._to_torch(available))
