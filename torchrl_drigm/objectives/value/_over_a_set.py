"""What every estimator over an uncertainty set shares."""

from __future__ import annotations

import torch

from torchrl_drigm.uncertainty import UncertaintySet


class OverASet:
    """Mix into a value estimator that owns the set ``uncertainty``."""

    uncertainty: UncertaintySet

    @staticmethod
    def _refuse_others(kwargs: dict) -> None:
        """What TorchRL's estimators would take or refuse without saying why."""
        if "average_rewards" in kwargs:
            raise TypeError(
                "average_rewards is not supported by robust estimators: standardised rewards move "
                "the worst value with every batch. Use the RewardScaling transform."
            )
        names = ("rho", "worst_value", "reward_lower_bound", "joint_with_reward")
        of_the_set = [name for name in names if name in kwargs]
        if of_the_set:
            raise TypeError(
                f"{', '.join(of_the_set)} belongs to the uncertainty set, not to its estimator. "
                "Give it to the set: TotalVariation(rho=0.2, worst_value=-10.0)."
            )

    def _own_set(self, uncertainty: UncertaintySet) -> None:
        if not isinstance(uncertainty, UncertaintySet):
            raise TypeError(
                f"uncertainty must be an UncertaintySet, got {uncertainty!r}. Make one: "
                "TotalVariation(rho=0.2), or make_set(name, rho=0.2) from a name."
            )
        # On one sample, so that what is wrong with a set shows before the first batch.
        one = torch.zeros(1, 1)
        backup = uncertainty.backup(one, torch.zeros(1, uncertainty.n_duals))
        if backup.shape != one.shape:
            raise ValueError(
                f"backup() of {uncertainty!r} must have the shape of next_value, [*B, 1], got "
                f"{list(backup.shape)} for {list(one.shape)}."
            )
        self.uncertainty = uncertainty

    @property
    def n_duals(self) -> int:
        """How many dual numbers the set has per state and joint action."""
        return self.uncertainty.n_duals

    @property
    def has_dual(self) -> bool:
        """Whether the set has dual numbers, which a network has to learn."""
        return self.n_duals > 0

    @property
    def rho(self) -> float:
        """Size of the uncertainty set; assigning another value takes effect at once."""
        return self.uncertainty.rho

    @rho.setter
    def rho(self, rho: float) -> None:
        self.uncertainty = self.uncertainty.replace(rho=rho)

    @property
    def worst_value(self) -> float | None:
        """Worst value over all states; assigning another one takes effect at once."""
        return self.uncertainty.worst_value

    @worst_value.setter
    def worst_value(self, worst_value: float) -> None:
        self.uncertainty = self.uncertainty.replace(worst_value=worst_value)
