"""An environment of the user's own, whose errors are told by what made it."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from torchrl.envs import TransformedEnv

from torchrl_drigm._users import noting, users_code

__all__ = ["OwnEnv"]


class OwnEnv(TransformedEnv):
    """The same environment; an error of a reset or a step names ``env.make`` and the step.

    Args:
        env (TransformedEnv): the environment, which is not used any more.
        make (object): value of ``env.make``.

    Raises:
        UsersError: from the error of a reset or a step, with its lines of the user's.
    """

    def __init__(self, env: TransformedEnv, make: object) -> None:
        super().__init__(env.base_env, env.transform.clone())
        self._make = make
        self._steps_made = 0

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        with users_code("env.make", self._make), noting("a reset"):
            return super()._reset(tensordict, **kwargs)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._steps_made += 1
        where = f"step {self._steps_made} since it was made"
        with users_code("env.make", self._make), noting(where):
            return super()._step(tensordict)
