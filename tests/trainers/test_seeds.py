"""Which battles are trained on and which are tested in."""

import pytest

from torchrl_drigm.config import compose_config
from torchrl_drigm.tasks import battles
from torchrl_drigm.trainers import battle_seeds, make_env, make_test_envs

# all below 100, and some of other sizes: those in use as evaluation seeds, sums of such a seed
# and a number of frames, and large ones
SEEDS = [*range(100), 1000, 10_000, 10_011, 20_011, 2**31 - 1, 2**32, 2**40 + 7, 123_456_789]
FRAMES = [0, 256, *range(10_000, 200_000, 10_000), 10**6, 10**9]


def test_no_seed_is_for_training_and_for_testing():
    train = {seed for run in SEEDS for seed in battle_seeds("train", run, n=64)}
    test = {seed for run in SEEDS for seed in battle_seeds("test", run, n=64)}
    test |= {seed for run in SEEDS for at in FRAMES for seed in battle_seeds("test", run, at)}
    # by construction: so also for the seeds that are not tried here
    assert {seed % 2 for seed in train} == {0} and {seed % 2 for seed in test} == {1}
    assert min(train | test) >= 0 and max(train | test) < 2**31


def test_runs_share_no_battles():
    train = [seed for run in SEEDS for seed in battle_seeds("train", run, n=64)]
    assert len(set(train)) == len(train)


def test_evaluations_share_no_battles():
    test = [battle_seeds("test", run, at)[0] for run in (11, 12, 1000) for at in FRAMES]
    assert len(set(test)) == len(test)


def test_more_simulators_begin_with_the_same_seeds():
    assert battle_seeds("test", 11, 300, n=32)[:4] == battle_seeds("test", 11, 300, n=4)


@pytest.mark.parametrize(
    ("purpose", "seed", "message"),
    [
        ("validate", [0], r"purpose='validate' must be one of \['train', 'test'\]"),
        ("train", [-1], r"seed=\[-1\] must have no negative number"),
        ("test", [11, -5], r"seed=\[11, -5\] must have no negative number"),
    ],
)
def test_refusals(purpose, seed, message):
    with pytest.raises(ValueError, match=message):
        battle_seeds(purpose, *seed)


class TestEnvironments:
    """The seeds that the environments are really made with."""

    @pytest.fixture
    def made(self, monkeypatch):
        """What games are made with, of both simulators; nothing is started."""
        seeds = []

        class Stop(Exception):
            pass

        def smax(map_name, num_envs, seed, **kwargs):
            seeds.append(seed)
            raise Stop

        def games(num_envs, makers, **kwargs):
            seeds.extend(maker.args[1] for maker in makers)
            raise Stop

        monkeypatch.setattr(battles, "SMAXEnv", smax)
        monkeypatch.setattr(battles, "ParallelEnv", games)

        def made(make, *args):
            seeds.clear()
            with pytest.raises(Stop):
                make(*args)
            return set(seeds)

        return made

    @pytest.mark.parametrize(("env", "n_games"), [("smac", 8), ("smax", 1)])
    def test_runs_and_tests_play_different_battles(self, made, env, n_games):
        cfg = compose_config(f"env={env}", config="battles")
        seen = set()
        for cfg.seed in SEEDS:
            train = made(make_env, cfg)
            assert len(train) == n_games and not train & seen
            seen |= train
        for cfg.evaluation.seed in SEEDS:
            assert not made(make_test_envs, cfg, None) & seen
