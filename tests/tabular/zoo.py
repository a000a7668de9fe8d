"""Models and sets that the tests of exact values share."""

from torchrl_drigm.tabular import random_dec_pomdp

KINDS = ("contamination", "tv")
# v below every value that rewards in [-1, 1] and gamma <= 0.5 can give: the fail state is the worst
# place to be, and the set is the whole ball on the enlarged state space.
WORST_VALUES = (None, -3.0)


def small_models(count, structure="general"):
    return [
        random_dec_pomdp(4, (2, 2), seed, gamma=0.2 + 0.3 * seed / count, structure=structure)
        for seed in range(count)
    ]
