"""Several runs of one architecture at once: the same numbers as alone, without their overhead."""

from torchrl_drigm.trainers.stack.members import (
    STACKABLE,
    check_environment,
    check_members,
    check_memory,
)
from torchrl_drigm.trainers.stack.stack import Stack

__all__ = ["STACKABLE", "Stack", "check_environment", "check_members", "check_memory"]
