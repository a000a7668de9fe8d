"""Readings that do not arrive: how often, what stands in their place, and what nobody touches."""

import io

import pytest
import torch
from torchrl.envs import Compose, TransformedEnv, check_env_specs

from tests.envs._echo import Echo, play
from torchrl_drigm.envs.transforms import DroppedReading, ObservationNoise


def test_the_last_reading_that_arrived_stands():
    dropped = DroppedReading(0.0, [0], seed=0)
    env = TransformedEnv(Echo(), dropped)
    seen, td = play(env, [2])
    dropped.rate = 1.0
    later, td = play(env, [3, 1], td)
    dropped.rate = 0.0
    last, _ = play(env, [3], td)
    assert torch.cat([seen, later, last])[:, 0, 0].tolist() == [2, 2, 2, 3]


def test_readings_are_missing_as_often_as_the_rate_says():
    env = TransformedEnv(Echo(20_000), DroppedReading(0.3, [0], seed=0))
    seen, _ = play(env, [1, 2])
    bound = 4 * (0.25 / 20_000) ** 0.5
    # the second step shows 2, or what the first one showed: 1, or the 0 of the reset
    for reading, probability in ((2, 0.7), (1, 0.3 * 0.7), (0, 0.3 * 0.3)):
        share = (seen[1] == reading).float().mean(0)
        assert (share - probability).abs().max() < bound, reading
    both = (seen[0] == 0).all(-1).float().mean()
    assert both == pytest.approx(0.09, abs=bound)  # each agent on its own


def test_a_reset_reads_anew_in_its_copies_alone():
    dropped = DroppedReading(0.0, [0], seed=0)
    env = TransformedEnv(Echo(2), dropped)
    _, td = play(env, [2])
    td["_reset"] = torch.tensor([[True], [False]])
    td = env.reset(td)
    assert td["agents", "observation"][..., 0].tolist() == [[0, 0], [2, 2]]
    dropped.rate = 1.0
    assert play(env, [3], td)[0][0].tolist() == [[0, 0], [2, 2]]


def test_it_is_the_noisy_reading_that_stands():
    noise, dropped = ObservationNoise([0], visible_only=False, seed=0), DroppedReading(1.0, [0])
    env = TransformedEnv(Echo(), Compose(noise, dropped))
    td = env.reset()
    first = td["agents", "observation"][..., 0]
    assert (first != 0).all()
    assert torch.equal(play(env, [3, 1], td)[0], first.expand(2, -1, -1))


def test_it_follows_from_its_seed_and_a_state_dict_resumes_it():
    def env(seed):
        return TransformedEnv(Echo(20), DroppedReading(0.5, [0], seed=seed))

    before = torch.get_rng_state()
    first, other = env(1), env(2)
    seen, td = play(first, [1, 2, 3])
    assert torch.equal(play(env(1), [1, 2, 3])[0], seen)
    assert not torch.equal(play(env(2), [1, 2, 3])[0], seen)
    assert torch.equal(torch.get_rng_state(), before)
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    expected, _ = play(first, [0, 1, 2], td.clone())
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(play(other, [0, 1, 2], td)[0], expected)


def test_specs():
    check_env_specs(TransformedEnv(Echo(3), DroppedReading(0.5, [0], seed=0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.1}, r"rate=1.1 must be a probability, in \[0, 1\]"),
        ({"rate": float("nan")}, "rate=nan must be a probability"),
        ({"features": []}, r"features=\[\] must be indices, at least one"),
        ({"features": [0, 0]}, r"features=\[0, 0\] must be indices, at least one, each once"),
    ],
)
def test_what_is_no_reading_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DroppedReading(**{"rate": 0.2, "features": [0], **arguments})


def test_features_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"features=\[1\] do not fit the 1 features of"):
        TransformedEnv(Echo(), DroppedReading(0.1, [1])).observation_spec  # noqa: B018


def test_stored_data_have_no_order_to_read_in():
    with pytest.raises(NotImplementedError, match="only runs in an environment"):
        DroppedReading(0.1, [0])(Echo().reset())
