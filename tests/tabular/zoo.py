"""Models and sets that the tests of exact values share."""

from itertools import product

from torchrl_drigm.tabular import random_dec_pomdp
from torchrl_drigm.uncertainty import make_set

KINDS = ("contamination", "tv")
# v below every value that rewards in [-1, 1] and gamma <= 0.5 can give: the fail state is the worst
# place to be, and the set is the whole ball on the enlarged state space.
WORST_VALUES = (None, -3.0)
# these reach nothing that the nominal model does not reach, and have no worst value
ON_THE_SUPPORT = ("cvar", "kl", "chi2")
ALL_KINDS = [*product(KINDS, WORST_VALUES), *((kind, None) for kind in ON_THE_SUPPORT)]


def a_set(kind, rho, worst_value=None):
    """A named set, with its worst value where it has one."""
    return make_set(kind, rho=rho, **({} if worst_value is None else {"worst_value": worst_value}))


def small_models(count, structure="general"):
    return [
        random_dec_pomdp(4, (2, 2), seed, gamma=0.2 + 0.3 * seed / count, structure=structure)
        for seed in range(count)
    ]
