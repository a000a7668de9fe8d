"""QTRAN's further term: at the greedy joint action in which one agent takes another action."""

from itertools import product

import pytest
import torch

from tests.objectives import qtran
from tests.objectives.zoo import (
    COLLECTOR,
    ESTIMATORS,
    N_ACTIONS,
    N_AGENTS,
    NETWORKS,
    OTHER_SETS,
    VALID,
    B,
    T,
    data_for,
    fill,
    make_loss,
    outcome,
)
from torchrl_drigm.objectives import RobustQTRANLoss, draw_deviations
from torchrl_drigm.objectives.multiagent._deviations import deviating_actions

KEY = ("agents", "deviation")


class TestByHand:
    """Two agents with two actions, greedy (0, 1): Q_1 = (2, 1), Q_2 = (0, 3), V = 0.5."""

    @pytest.mark.parametrize(
        "deviation, weight, expected",
        [
            # (1, 1): 1 + 3 - 2 + 0.5 = 2.5, where the agents think too much of it
            ([0.5, -1.0], 0.1, 0.1 * 2.5**2),
            ([0.99, -1.0], 1.0, 2.5**2),
            ([0.99, -1.0], 0.0, 0.0),
            # (0, 0): 2 + 0 - 1 + 0.5 = 1.5
            ([-1.0, 0.49], 0.1, 0.1 * 1.5**2),
            # (0, 1), the greedy action itself: 2 + 3 - 4 + 0.5 = 1.5
            ([0.49, -1.0], 0.1, 0.1 * 1.5**2),
        ],
    )
    def test_what_is_thought_too_much_of_counts_by_its_weight(self, deviation, weight, expected):
        loss = qtran.table_loss(deviation_weight=weight)
        data = qtran.table_data([0, 1]).set(KEY, torch.tensor([deviation]))
        assert loss(data)["loss_deviation"].item() == pytest.approx(expected)

    @pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
    def test_what_is_thought_too_little_of_counts_fully(self, weight):
        data = qtran.table_data([0, 1]).set(KEY, torch.tensor([[0.5, -1.0]]))
        data["state"][0, 3] = 7.0  # joint value of (1, 1): 1 + 3 - 7 + 0.5 = -2.5
        loss = qtran.table_loss(deviation_weight=weight)
        assert loss(data)["loss_deviation"].item() == pytest.approx(2.5**2)

    def test_a_local_optimum_is_left_with_a_small_weight_alone(self):
        """Joint values (8, -12; -12, 0), and agents that prefer (1, 1), at which no one gains.

        Eq. 13 asks for more of action 0, the deviations for less; the weight decides.
        """
        greedy = {}
        for weight in (0.0, 0.01, 1.0):
            q = torch.tensor([[-1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
            optimizer = torch.optim.SGD([q], lr=0.1)
            loss = qtran.table_loss(deviation_weight=weight)
            every = list(product((0, 1), repeat=2))
            data = torch.cat([qtran.table_data(taken) for taken in every for _ in every])
            data["state"] = torch.tensor([8.0, -12.0, -12.0, 0.0, 0.0]).expand(len(data), 5)
            drawn = [[0.0, -1.0], [0.5, -1.0], [-1.0, 0.0], [-1.0, 0.5]]
            data[KEY] = torch.tensor(drawn).repeat(len(every), 1)
            for _ in range(80):
                data["agents", "observation"] = q.expand(len(data), 2, 2)
                found = loss(data)
                optimizer.zero_grad()
                sum(found[f"loss_{name}"] for name in ("opt", "nopt", "deviation")).backward()
                optimizer.step()
            greedy[weight] = q.argmax(-1).tolist()
        assert greedy == {0.0: [0, 0], 0.01: [0, 0], 1.0: [1, 1]}


class TestDraws:
    def test_one_agent_of_each_step_takes_any_legal_action(self):
        torch.manual_seed(0)
        legal = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
        n, greedy = 30_000, torch.tensor([3, 1, 0])
        drawn = draw_deviations((n, 3))
        assert ((drawn >= 0).sum(-1) == 1).all() and (drawn < 1).all()
        actions = deviating_actions(drawn, greedy.expand(n, 3), legal.expand(n, 3, 4), 4)
        for agent, own in enumerate(legal):
            deviates = drawn[:, agent] >= 0
            assert (actions[~deviates, agent] == greedy[agent]).all()
            assert deviates.float().mean().item() == pytest.approx(1 / 3, abs=0.02)
            share = torch.bincount(actions[deviates, agent], minlength=4) / deviates.sum()
            torch.testing.assert_close(share, own / own.sum(), atol=0.02, rtol=0)

    def test_without_masks_all_actions_are_legal(self):
        drawn, greedy = draw_deviations((100, 5, 3)), torch.zeros(100, 5, 3, dtype=torch.int64)
        every = torch.ones(100, 5, 3, 7, dtype=torch.bool)
        assert torch.equal(
            deviating_actions(drawn, greedy, None, 7), deviating_actions(drawn, greedy, every, 7)
        )

    def test_the_largest_number_below_one_is_the_last_action(self):
        drawn = torch.tensor([1.0 - 2.0**-24, -1.0])
        for legal in (None, torch.ones(2, 200, dtype=torch.bool)):
            assert deviating_actions(drawn, torch.tensor([0, 5]), legal, 200).tolist() == [199, 5]

    def test_a_loss_draws_what_the_data_lacks_from_the_global_generator(self):
        loss, data = make_loss("qtran", deviation_weight=0.1), data_for("mlp", 8)
        torch.manual_seed(3)
        found = loss(data.clone())
        torch.manual_seed(3)
        given = data.clone().set(KEY, draw_deviations((8, N_AGENTS)))
        assert torch.equal(found["loss_deviation"], loss(given)["loss_deviation"])
        assert not torch.equal(found["loss_deviation"], loss(data)["loss_deviation"])


# the term knows nothing of the set: each set with one network, and each network with one set
CASES = [*product([*ESTIMATORS, *OTHER_SETS], ["mlp"]), *product(["tv_td0"], NETWORKS[1:])]


def given(network, *batch):
    data = data_for(network, *batch)
    torch.manual_seed(5)
    return data.set(KEY, draw_deviations((*data.shape, N_AGENTS)))


@pytest.mark.parametrize("estimator, network", CASES)
class TestEverySetAndNetwork:
    def test_the_other_losses_are_what_they_are_without(self, estimator, network):
        data = given(network, B, T)
        with_term = make_loss("qtran", network, estimator, deviation_weight=0.1)(data.clone())
        without = make_loss("qtran", network, estimator)(data)
        assert with_term.pop("loss_deviation") > 0
        assert set(with_term.keys()) == set(without.keys())
        for name, value in without.items():
            torch.testing.assert_close(with_term[name], value, rtol=1e-5, atol=1e-6, msg=name)

    def test_what_is_masked_does_not_matter(self, estimator, network):
        loss = make_loss("qtran", network, estimator, deviation_weight=0.1)
        data = given(network)
        expected = outcome(loss, data.clone().set(COLLECTOR, VALID))
        for how in ("huge", "nan"):
            for name, value in outcome(loss, fill(data, VALID, how)).items():
                assert value.isfinite().all() and torch.equal(value, expected[name]), name


def test_its_gradient_reaches_agents_and_baseline_only():
    loss = qtran.make_loss(deviation_weight=0.1)
    loss(qtran_data())["loss_deviation"].backward()
    reached = {name.split("_network")[0] for name, p in loss.named_parameters() if _moved(p)}
    assert reached == {"local_value", "state_value"}


def _moved(parameter):
    return parameter.grad is not None and parameter.grad.abs().sum() > 0


def qtran_data():
    return given("mlp, masked by the loss", 16)


def test_with_one_hot_actions_it_is_the_same():
    data = given("mlp, masked by the loss", 16)
    one_hot = data.clone()
    actions = torch.nn.functional.one_hot(data["agents", "action"], N_ACTIONS)
    one_hot["agents", "action"] = actions
    found = qtran.make_loss(deviation_weight=0.3)(data)["loss_deviation"]
    other = qtran.make_loss(action_space="one-hot", deviation_weight=0.3)(one_hot)
    torch.testing.assert_close(found, other["loss_deviation"])


class TestRefused:
    @pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), "0.1", True])
    def test_a_weight_that_is_none(self, weight):
        with pytest.raises(ValueError, match=r"deviation_weight must be None or a number in \[0"):
            qtran.make_loss(deviation_weight=weight)

    @pytest.mark.parametrize(
        "wrong", [torch.zeros(4, N_AGENTS + 1), torch.zeros(4, N_AGENTS, dtype=torch.int64)]
    )
    def test_deviations_that_are_none(self, wrong):
        loss = make_loss("qtran", deviation_weight=0.1)
        with pytest.raises(ValueError, match="as draw_deviations gives them"):
            loss(data_for("mlp", 4).set(KEY, wrong))


def test_without_a_weight_nothing_is_drawn_or_read():
    loss = make_loss("qtran")
    assert isinstance(loss, RobustQTRANLoss) and loss.deviation_weight is None
    state = torch.get_rng_state()
    found = loss(data_for("mlp", 4).set(KEY, torch.full((4, 1), float("nan"))))
    assert "loss_deviation" not in found and torch.equal(state, torch.get_rng_state())
