"""Several runs of one architecture at once: the same numbers as alone, without their overhead."""

from typing import TYPE_CHECKING

from torchrl_drigm._lazy import attach

if TYPE_CHECKING:
    from torchrl_drigm.trainers.stack.fit import check_environment, check_memory
    from torchrl_drigm.trainers.stack.members import STACKABLE, check_members
    from torchrl_drigm.trainers.stack.stack import Stack

__all__ = ["STACKABLE", "Stack", "check_environment", "check_members", "check_memory"]

__getattr__, __dir__ = attach(__name__, __file__)
