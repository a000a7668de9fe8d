"""An uncertainty set of one's own, between mean and CVaR: this file is all of it."""

from dataclasses import dataclass

from torchrl_drigm.uncertainty import CVaR, UncertaintySet

__all__ = ["MeanCVaR"]


@dataclass(frozen=True)
class MeanCVaR(UncertaintySet):
    r"""All ``P`` with :math:`1 - w \le dP/dP^0 \le 1 - w + w / (1 - \rho)`.

    No outcome becomes more likely than by a factor, as with CVaR, and none less likely than by
    another one: the best outcomes are not left out, they count less.

    Args:
        rho (float): share of the best outcomes that CVaR leaves out, in [0, 1).
        weight (float): weight ``w`` of CVaR beside the mean, in [0, 1].
    """

    rho: float = 0.0
    weight: float = 0.5

    name = "mean_cvar"  # in configs, and "mean_cvar_td0" in losses
    label = "mean-CVaR"  # in tables and plots
    n_duals = 1
    dual_follows_value = True  # a sample may count more than once in the backup

    def __post_init__(self):
        super().__post_init__()
        CVaR(self.rho)  # refuses what is no size of it
        if not 0 <= self.weight <= 1:
            raise ValueError(
                f"weight must be in [0, 1], got {self.weight}; 0 is the nominal model."
            )

    def backup(self, next_value, dual_value=None):
        """σ = (1 - w) E V' + w sup over η of E[η - (η - V')₊ / (1 - ρ)]."""
        (eta,) = self.duals(next_value, dual_value)
        tail = eta - (eta - next_value).relu() / (1 - self.rho)
        return (1 - self.weight) * next_value + self.weight * tail

    def worst_kernel(self, probs, values):
        """The same mean of kernels: the nominal one and CVaR's worst."""
        probs, values = self.rows(probs, values)  # both [..., S'], checked
        tail = CVaR(self.rho).worst_kernel(probs, values)
        return (1 - self.weight) * probs + self.weight * tail

    def contains(self, probs, other, atol=1e-9):
        """Which rows are distributions between the two factors."""
        least = (1 - self.weight) * probs
        most = least + self.weight * probs / (1 - self.rho)
        inside = (other >= least - atol) & (other <= most + atol)
        return self.are_distributions(probs, other, atol) & inside.all(-1)


if __name__ == "__main__":
    from torchrl_drigm.tabular import random_dec_pomdp, robust_value_iteration, train_against_exact

    model = random_dec_pomdp(4, (2, 2), seed=0, gamma=0.8, structure="additive")
    ball = MeanCVaR(rho=0.8, weight=0.5)
    exact = robust_value_iteration(model, ball).q
    learned = train_against_exact(model, ball, "vdn", steps=1000)
    print(f"exact robust values from {exact.min():.2f} to {exact.max():.2f}")
    print(f"learned ones are within {learned.error:.1%} of the range of values")
