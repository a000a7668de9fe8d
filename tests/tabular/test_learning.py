"""What the library's losses learn, against the exact robust values.

Errors are taken at the worst state and joint action (the largest absolute error, not a mean), in
shares of the range of the exact values over states that are not terminal.
"""

import pytest
import torch

from torchrl_drigm.tabular import (
    NON_MONOTONE_GAME,
    DecPOMDP,
    FiniteSet,
    additive_decomposition,
    check_drigm,
    matrix_game,
    numeric_worst_value,
    optimal_values,
    random_dec_pomdp,
    representable,
    robust_values,
    sample_transitions,
    train_against_exact,
)
from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    Nominal,
    TotalVariation,
    make_set,
)

NONE = Nominal()
BOTH_SIGNS, POSITIVE, NEGATIVE = (-1.0, 1.0), (0.5, 1.5), (-1.5, -0.5)
# Of the seeds from 0 on, the first whose robust values QMIX can represent, whatever the set.
CONVEX = {((2, 2), BOTH_SIGNS): 3, ((3, 2), POSITIVE): 4, ((2, 2, 2), NEGATIVE): 14}


def assert_learned(found, tolerance=0.03):
    assert found.error < tolerance
    assert found.regret < 1e-9
    # Every greedy choice is optimal, ties within what single precision leaves of them included.
    assert check_drigm(found.model, found.uncertainty, found.individual_values, atol=1e-6)
    assert not found.q[found.model.terminal].any()


class TestVDN:
    @pytest.mark.parametrize(
        "n_actions, rewards, uncertainty",
        [
            ((2, 2), BOTH_SIGNS, NONE),
            ((3, 2), POSITIVE, Contamination(0.2, 0.0)),
            ((3, 2), POSITIVE, TotalVariation(0.2, 0.0)),
            # Negative rewards; a worst value below every value, then the worst state's own.
            ((2, 2, 2), NEGATIVE, Contamination(0.2, -10.0)),
            ((2, 2, 2), NEGATIVE, TotalVariation(0.2, -10.0)),
            ((3, 3), BOTH_SIGNS, TotalVariation(0.2)),
        ],
        ids=str,
    )
    def test_learns_the_exact_values_of_additive_models(self, n_actions, rewards, uncertainty):
        model = random_dec_pomdp(
            4, n_actions, seed=0, gamma=0.85, structure="additive", reward_range=rewards
        )
        found = train_against_exact(model, uncertainty, "vdn", steps=350)
        assert representable(found.exact, "vdn").all()
        assert_learned(found)
        if uncertainty != NONE:
            # The nominal values would not have passed.
            nominal = (optimal_values(model)[0] - found.exact).abs().max() / found.value_range
            assert nominal > 0.1

    @pytest.mark.parametrize("hard_update", [None, 10])
    def test_either_target_update(self, hard_update):
        model = random_dec_pomdp(3, (2, 2), seed=1, gamma=0.8, structure="additive")
        tv = TotalVariation(0.2)
        assert_learned(train_against_exact(model, tv, "vdn", steps=400, hard_update=hard_update))

    def test_zero_as_worst_value_of_negative_rewards_is_optimistic(self):
        # Learned and exact agree there as well: on values above the nominal ones for contamination,
        # on the nominal ones for total variation.
        model = random_dec_pomdp(
            3, (2, 2), seed=2, gamma=0.8, structure="additive", reward_range=NEGATIVE, n_terminal=0
        )
        nominal = optimal_values(model)[0]
        found = train_against_exact(model, Contamination(0.2, 0.0), "vdn", steps=400)
        assert_learned(found)
        assert (found.q > nominal).all()
        found = train_against_exact(model, TotalVariation(0.2, 0.0), "vdn", steps=500)
        assert_learned(found)
        torch.testing.assert_close(found.exact, nominal)

    def test_the_squared_dual_loss_does_not_learn_total_variation(self):
        # Values are positive: minimising the square drives the estimated worst case to 0.
        model = random_dec_pomdp(
            4, (2, 2), seed=0, gamma=0.85, structure="additive", reward_range=POSITIVE
        )
        tv = TotalVariation(0.2, 0.0)
        errors = {
            loss: train_against_exact(model, tv, "vdn", steps=500, dual_loss=loss).error
            for loss in ("linear", "squared")
        }
        assert errors["linear"] < 0.03 < 0.3 < errors["squared"]


class TestQMIX:
    @pytest.mark.parametrize(
        "n_actions, rewards, uncertainty, steps",
        [
            ((2, 2), BOTH_SIGNS, TotalVariation(0.2), 600),
            ((3, 2), POSITIVE, NONE, 900),
            ((2, 2, 2), NEGATIVE, Contamination(0.2), 700),
        ],
        ids=str,
    )
    def test_learns_the_exact_values_of_monotone_models(
        self, n_actions, rewards, uncertainty, steps
    ):
        seed = CONVEX[n_actions, rewards]
        model = random_dec_pomdp(
            4, n_actions, seed, gamma=0.8, structure="monotone", reward_range=rewards
        )
        found = train_against_exact(model, uncertainty, "qmix", steps=steps)
        assert representable(found.exact, "qmix").all()
        assert_learned(found)
        # VDN's best fit would not have passed.
        assert additive_decomposition(found.exact).residual.max() / found.value_range > 0.03

    def test_monotone_is_not_enough_for_the_mixer(self):
        # One hidden layer of ELUs is convex in each agent's value: both of us are needed, yes;
        # either of us suffices, no. The choice is right in both.
        errors = []
        for payoff in ([[0.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]]):
            game = matrix_game(payoff)
            found = train_against_exact(game, NONE, "qmix", steps=400, samples=1)
            assert representable(found.exact, "qmix")[0] == (found.error < 0.03)
            assert found.regret < 1e-9
            errors.append(found.error)
        assert errors[0] < 0.03 < 0.2 < errors[1]


class TestQTRAN:
    @pytest.mark.parametrize(
        "n_actions, rewards, uncertainty",
        [
            ((2, 2), BOTH_SIGNS, TotalVariation(0.2)),
            ((3, 2), POSITIVE, Contamination(0.2, 0.0)),
            ((2, 2, 2), NEGATIVE, TotalVariation(0.2, -10.0)),
        ],
        ids=str,
    )
    def test_learns_the_exact_values_of_any_model(self, n_actions, rewards, uncertainty):
        model = random_dec_pomdp(4, n_actions, seed=0, gamma=0.8, reward_range=rewards)
        found = train_against_exact(model, uncertainty, "qtran", steps=600)
        assert not representable(found.exact, "vdn").all()
        assert_learned(found)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "uncertainty, seeds, others",
        [(NONE, range(10), range(5)), (Contamination(0.2, -30.0), range(5), range(3))],
        ids=["none", "contamination"],
    )
    def test_non_monotone_game(self, uncertainty, seeds, others):
        game = matrix_game(NON_MONOTONE_GAME)

        def train(mixer, seeds, steps):
            return [
                train_against_exact(game, uncertainty, mixer, seed=seed, steps=steps, samples=1)
                for seed in seeds
            ]

        def optimal(found):
            return sum(one.joint_action[0].tolist() == [0, 0] for one in found)

        qtran = train("qtran", seeds, steps=200)
        assert optimal(qtran) >= 0.9 * len(seeds)
        assert all(one.error < 0.03 for one in qtran)
        for mixer in ("vdn", "qmix"):
            found = train(mixer, others, steps=100)  # as near as with 200
            assert optimal(found) == 0
            assert min(one.error for one in found) > 0.3
            assert min(one.regret for one in found) > 0.3
        # The shift is all that the adversary can do: r + 0.9 * 0.2 * -30.
        shift = 0.0 if uncertainty is NONE else -5.4
        torch.testing.assert_close(qtran[0].exact[0], game.reward[0] + shift)


@pytest.mark.parametrize("uncertainty", [CVaR(0.8), KL(0.1), ChiSquared(0.2)], ids=str)
@pytest.mark.parametrize(
    "mixer, structure, seed, steps",
    [("vdn", "additive", 0, 300), ("qmix", "monotone", 3, 900), ("qtran", "general", 0, 420)],
)
def test_sets_on_the_support_of_the_model(mixer, structure, seed, steps, uncertainty):
    """Nothing is reached that the nominal model does not reach, and no worst value is needed."""
    model = random_dec_pomdp(
        4, (2, 2), seed, gamma=0.8, structure=structure, reward_range=BOTH_SIGNS
    )
    if not isinstance(uncertainty, CVaR):  # which learns from the rarest draws alone
        steps = 2 * steps // 3
    found = train_against_exact(model, uncertainty, mixer, steps=steps)
    assert_learned(found)
    nominal = (optimal_values(model)[0] - found.exact).abs().max() / found.value_range
    assert nominal > 0.1  # those would not have passed


@pytest.mark.parametrize("uncertainty", [CVaR(0.8), KL(0.5), ChiSquared(2.0)], ids=str)
def test_falling_values_do_not_run_away(uncertainty):
    """From 0 down to -3.5 they fall faster than a dual number does, which must follow them."""
    model = random_dec_pomdp(
        4, (2, 2, 2), seed=14, gamma=0.8, structure="monotone", reward_range=NEGATIVE
    )
    found = train_against_exact(model, uncertainty, "qmix", steps=200)
    assert found.error < 5.0, "1,000 and more without"


class TestSampling:
    def test_batch(self):
        observation = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
        drawn = random_dec_pomdp(4, (2, 3), seed=0)
        model = DecPOMDP(drawn.kernel, drawn.reward, 0.9, drawn.terminal, observation)
        n = 1000
        batch = sample_transitions(model, n, torch.Generator().manual_seed(0))
        assert batch.shape == (3 * 2 * 3 * n,)
        state = batch["state"].argmax(-1)
        action, next_state = batch["agents", "action"], batch["next", "state"].argmax(-1)
        assert not model.terminal[state].any()
        index = (state, *action.unbind(-1))
        torch.testing.assert_close(batch["next", "reward"][:, 0], model.reward[index].float())
        for s, td in ((state, batch), (next_state, batch["next"])):
            seen = td["agents", "observation"].argmax(-1)
            assert torch.equal(seen, observation[s])
            assert td["agents", "action_mask"][0].tolist() == [[True, True, False], [True] * 3]
        assert torch.equal(batch["next", "terminated"][:, 0], model.terminal[next_state])
        assert torch.equal(batch["next", "terminated"], batch["next", "done"])
        count = torch.zeros_like(model.kernel)
        count.index_put_((*index, next_state), torch.ones(()).double(), accumulate=True)
        # Systematic samples are off by at most one draw at either end of a state's share.
        torch.testing.assert_close(count[:3] / n, model.kernel[:3], rtol=0, atol=2 / n)
        assert not count[model.kernel == 0].any()

    def test_each_draw_has_the_distribution_of_the_kernel(self):
        model = random_dec_pomdp(4, (2, 2), seed=0)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.stack(
            [sample_transitions(model, 1, generator)["next", "state"] for _ in range(4000)]
        )
        rows = model.kernel[:3].flatten(0, 2).float()
        torch.testing.assert_close(drawn.mean(0), rows, rtol=0, atol=0.04)

    def test_repeatable_and_without_trace(self):
        model = random_dec_pomdp(3, (2, 2), seed=0, structure="additive")
        state = torch.get_rng_state()
        first, again = (train_against_exact(model, NONE, "qmix", steps=3) for _ in range(2))
        other = train_against_exact(model, NONE, "qmix", steps=3, seed=1)
        assert torch.equal(first.q, again.q) and not torch.equal(first.q, other.q)
        assert torch.equal(torch.get_rng_state(), state)


class TestWorstValue:
    @pytest.mark.parametrize("kind", ["contamination", "tv"])
    @pytest.mark.parametrize("rewards", [BOTH_SIGNS, POSITIVE, NEGATIVE])
    def test_number_gives_the_same_robust_values(self, kind, rewards):
        for seed in range(3):
            model = random_dec_pomdp(4, (2, 2), seed, reward_range=rewards)
            without = make_set(kind, rho=0.3)
            number = numeric_worst_value(model, without)
            assert number.worst_value is not None
            torch.testing.assert_close(robust_values(model, number), robust_values(model, without))
            assert numeric_worst_value(model, number) is number
        assert numeric_worst_value(model, NONE) is NONE


class TestRepresentable:
    def test_by_hand(self):
        q = torch.tensor(
            [
                [[0.0, 1.0], [2.0, 3.0]],  # a sum
                [[1.0, 0.0], [0.0, 0.0]],  # both needed, best actions first
                [[0.0, 1.0], [1.0, 1.0]],  # either suffices: monotone, not convex
                [[1.0, 0.0], [0.0, 1.0]],  # not monotone
            ]
        )
        assert representable(q, "vdn").tolist() == [True, False, False, False]
        assert representable(q, "qmix").tolist() == [True, True, False, False]
        assert representable(q, "qtran").all()

    def test_three_agents(self):
        total = sum(torch.meshgrid(*[torch.arange(2.0)] * 3, indexing="ij"))
        q = torch.stack([total.exp(), -(-total).exp()])
        assert representable(q, "qmix").tolist() == [True, False]
        assert representable(q.flip(1, 3), "qmix").tolist() == [True, False]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: train_against_exact(m, NONE, "qplex"), "mixer must be one of .* got 'qplex'"),
        (lambda m: representable(m.reward, "iql"), "mixer must be one of .* got 'iql'"),
        (lambda m: train_against_exact(m, FiniteSet([m.kernel]), "vdn"), "has no value estimator"),
        (
            lambda m: train_against_exact(
                DecPOMDP(m.kernel, 0 * m.reward, 0.9, m.terminal), NONE, "vdn"
            ),
            "every reward of the model is 0",
        ),
        (lambda m: sample_transitions(m, 0), "n must be at least 1 .* got n=0"),
        (
            lambda m: sample_transitions(
                DecPOMDP(torch.ones(1, 2, 1), torch.zeros(1, 2), 0.9, torch.tensor([True])), 1
            ),
            "some state not terminal",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_dec_pomdp(3, (2, 2), seed=0))
