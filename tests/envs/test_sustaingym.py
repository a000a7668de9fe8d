import io

import numpy as np
import pytest
import torch
from torchrl.envs import TransformedEnv, check_env_specs
from torchrl.envs.transforms import StepCounter

from tests.envs._sustaingym import TUCSON, assert_same_course, at, follow, parameters
from torchrl_drigm.envs import SustainGymEnv, SustainGymWrapper
from torchrl_drigm.envs.libs import _building, _building_checks

pytestmark = pytest.mark.sustaingym

from sustaingym.envs.building import BuildingEnv, MultiAgentBuildingEnv  # noqa: E402

NEW_YORK = ("Mixed_Humid", "NewYork")
FAIRBANKS = ("Subarctic/Arctic", "Fairbanks")
SAN_DIEGO = ("Warm_Marine", "SanDiego")
CLIMATES = [TUCSON, NEW_YORK, FAIRBANKS, SAN_DIEGO]


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class TestSustainGymEnv:
    @pytest.mark.parametrize(
        ("building", "n"),
        [("Warehouse", 3), ("OfficeSmall", 6), ("OfficeMedium", 18), ("HotelLarge", 22)],
    )
    def test_follows_sustaingym(self, building, n):
        days, climates = [0, 123, 257, 364], [0, 1, 2, 3]
        env = SustainGymEnv("building", building=building, climates=CLIMATES, num_envs=4)
        assert env.n_agents == n
        td = env.reset(at(days, climates))
        first = td["state"]
        levels = torch.randint(200, (288, 4, n))
        ours = follow(env, levels, td)
        assert not ours["truncated"][:-1].any()
        assert ours["truncated"][-1].all()
        idle = env.passive_temperature()

        for copy, (day, climate) in enumerate(zip(days, CLIMATES, strict=True)):
            real = BuildingEnv(parameters(building, climate))
            state, _ = real.reset(seed=day)
            np.testing.assert_allclose(first[copy], state, atol=1e-4, rtol=0)
            for t in range(288):
                state, reward, done, _, _ = real.step(levels[t, copy].numpy())
                np.testing.assert_allclose(ours["state"][t, copy], state, atol=1e-4, rtol=0)
                own, shared = ours["obs"][t, copy, :, 0], ours["obs"][t, copy, :, 1:]
                assert torch.equal(own, ours["state"][t, copy, :n])
                assert torch.equal(shared, ours["state"][t, copy, n:].expand(n, 4))
                np.testing.assert_allclose(
                    ours["reward"][t, copy, 0] / n, reward, atol=1e-4, rtol=1e-6
                )
                assert done == (t == 287)
            # The step after day 364 takes the year's first sample.
            assert real.epoch == (0 if day == 364 else real.epoch) != 105108
            following, *_ = real.step(np.full(n, 100))
            np.testing.assert_allclose(idle[copy], following[:n], atol=1e-4, rtol=0)

    @pytest.mark.parametrize("day", [0, 1, 100, 199, 333, 364])
    def test_day_starts_where_sustaingym_starts(self, day):
        real = BuildingEnv(parameters())
        real.reset(seed=day)
        assert _building.load_building("OfficeSmall", *TUCSON).first_sample[day] == real.epoch

    @pytest.mark.parametrize("n_levels", [2, 5, 200])
    def test_action_grid(self, n_levels):
        env = SustainGymEnv("building", n_action_levels=n_levels, num_envs=n_levels)
        td = env.reset(at([50] * n_levels))
        idle = env.passive_temperature()
        k = torch.arange(n_levels)
        td["agents", "action"] = k[:, None].expand(n_levels, 6)
        reached = env.step(td)["next", "state"][:, :6]
        power = ((2 * k - n_levels) / n_levels)[:, None, None].expand(-1, 6, 1)
        expected = idle + (env.action_effect @ power).squeeze(-1)
        torch.testing.assert_close(reached, expected, atol=1e-4, rtol=0)

    def test_action_effect_per_climate_and_agent(self):
        env = SustainGymEnv("building", climates=[TUCSON, NEW_YORK], num_envs=2)
        td = env.reset(at([10, 10], [0, 1]))
        idle, effect = env.passive_temperature(), env.action_effect
        assert effect.shape == (2, 6, 6)
        td["agents", "action"] = torch.tensor([[100, 100, 200, 100, 100, 100]] * 2)
        reached = env.step(td)["next", "state"][:, :6]
        torch.testing.assert_close(reached, idle + effect[..., 2], atol=1e-4, rtol=0)

    @pytest.mark.parametrize(
        "kwargs",
        [
            {},
            {"num_envs": 3, "climates": [TUCSON, NEW_YORK]},
            {"building": "Warehouse", "n_action_levels": 2, "num_envs": 2, "days": (364, 365)},
            {"days": (400, 600), "wrap_days": True, "device": "cpu"},
        ],
    )
    def test_specs(self, kwargs):
        check_env_specs(SustainGymEnv("building", **kwargs))

    def test_copies_are_independent(self):
        days, climates = [3, 77, 200, 364], [0, 1, 1, 0]
        levels = torch.randint(200, (288, 4, 6))
        env = SustainGymEnv("building", climates=[TUCSON, NEW_YORK], num_envs=4)
        together = follow(env, levels, env.reset(at(days, climates)))
        for copy, (day, climate) in enumerate(zip(days, climates, strict=True)):
            pair = [TUCSON, NEW_YORK][climate]
            single = SustainGymEnv("building", climates=[pair])
            alone = follow(single, levels[:, [copy]], single.reset(at([day])))
            assert_same_course(alone, {key: value[:, [copy]] for key, value in together.items()})

    def test_partial_reset(self):
        env = SustainGymEnv("building", climates=[TUCSON, NEW_YORK], num_envs=3)
        td = env.reset(at([5, 6, 7], [0, 1, 0]))
        td = env.step(env.rand_action(td))["next"]
        before, idle = td.clone(), env.passive_temperature()
        td["_reset"] = torch.tensor([[False], [True], [False]])
        td["day"] = torch.tensor([999, 300, 999])  # only the entry of the copy that resets counts
        td["climate"] = torch.tensor([[9], [0], [9]])
        td = env.reset(td)
        assert env.day.tolist() == [5, 300, 7]
        assert env.climate.tolist() == [0, 0, 0]
        kept = torch.tensor([0, 2])
        assert torch.equal(td["state"][kept], before["state"][kept])
        assert torch.equal(td["agents", "observation"][kept], before["agents", "observation"][kept])
        assert torch.equal(env.passive_temperature()[kept], idle[kept])
        assert td["state"][1, :6].tolist() == [22.0] * 6

        # The copy that was reset is a step behind the others, and ends a step later.
        flags = follow(env, torch.randint(200, (288, 3, 6)), td)["truncated"].squeeze(-1)
        assert flags[:286].sum() == 0
        assert flags[286:].tolist() == [[True, False, True], [True, True, True]]

    def test_random_resets_stay_in_days_and_cover_climates(self):
        env = SustainGymEnv(
            "building", climates=[TUCSON, NEW_YORK], days=(40, 43), num_envs=64, seed=0
        )
        env.reset()
        assert set(env.day.tolist()) == {40, 41, 42}
        assert set(env.climate.tolist()) == {0, 1}

    def test_explicit_reset_is_not_sticky(self):
        env = SustainGymEnv("building", days=(40, 43), num_envs=4, seed=0)
        td = env.reset(at([200, 201, 202, 203]))
        assert env.day.tolist() == [200, 201, 202, 203]
        rollout = env.rollout(290, auto_reset=False, tensordict=td, break_when_any_done=False)
        assert rollout["next", "truncated"].squeeze(-1).sum(1).tolist() == [1] * 4
        assert all(40 <= day < 43 for day in env.day.tolist())

    def test_explicit_days_may_lie_outside_days(self):
        env = SustainGymEnv("building", days=(40, 43), num_envs=2)
        env.reset(at([[364], [0]]))
        assert env.day.tolist() == [364, 0]

    def test_wrap_days(self):
        env = SustainGymEnv("building", days=(400, 402), wrap_days=True, num_envs=32, seed=0)
        env.reset()
        assert set(env.day.tolist()) == {35, 36}
        env.reset(at([365 + 9] * 32))
        assert env.day.tolist() == [9] * 32

    def test_seed_is_reproducible(self):
        def draws(env):
            return [(env.reset(), env.day.tolist(), env.climate.tolist())[1:] for _ in range(3)]

        kwargs = {"climates": [TUCSON, NEW_YORK], "num_envs": 8}
        env = SustainGymEnv("building", seed=5, **kwargs)
        first = draws(env)
        assert first[0] != first[1]
        assert draws(SustainGymEnv("building", seed=5, **kwargs)) == first
        assert draws(SustainGymEnv("building", seed=6, **kwargs)) != first
        env.set_seed(5)
        assert draws(env) == first

    def test_day_end_is_a_truncation(self):
        env = SustainGymEnv("building", num_envs=2, seed=0)
        end = env.rollout(400)["next"]
        assert end.shape == (2, 288)
        assert end["truncated"][:, -1].all()
        assert not end["truncated"][:, :-1].any()
        assert torch.equal(end["done"], end["truncated"])
        assert not end["terminated"].any()

    def test_steps_after_the_end_stay_truncated(self):
        env = SustainGymEnv("building", num_envs=1)
        ours = follow(env, torch.randint(200, (600, 1, 6)), env.reset(at([364])))
        assert ours["truncated"][287:].all()
        assert len(ours["state"][290:, 0, 6:9].unique(dim=0)) == 1
        assert ours["state"].isfinite().all()

    @pytest.mark.parametrize("climates", [[TUCSON], [TUCSON, NEW_YORK]])
    def test_state_dict_resumes_exactly(self, climates):
        kwargs = {"climates": climates, "num_envs": 3}
        env = SustainGymEnv("building", seed=1, **kwargs)
        levels = torch.randint(200, (400, 3, 6))
        follow(env, levels[:100], env.reset())  # to the middle of a day
        saved = env.state_dict()
        assert all(isinstance(value, torch.Tensor) for value in saved.values())
        stored = io.BytesIO()
        torch.save(saved, stored)

        def resume(env):
            td = env.rand_action()
            rows = []
            for step_levels in levels:
                td["agents", "action"] = step_levels
                both, td = env.step_and_maybe_reset(td)
                rows.append(torch.cat([both["next", "state"], both["next", "reward"]], -1))
            return torch.stack(rows), env.day, env.climate

        expected = resume(env)
        env.load_state_dict(saved)
        other = SustainGymEnv("building", seed=2, **kwargs)
        stored.seek(0)
        other.load_state_dict(torch.load(stored, weights_only=True))
        for resumed in (resume(env), resume(other)):
            for value, wanted in zip(resumed, expected, strict=True):
                assert torch.equal(value, wanted)

    def test_transformed(self):
        env = TransformedEnv(SustainGymEnv("building", num_envs=2, seed=0), StepCounter())
        rollout = env.rollout(300, break_when_any_done=False)
        assert rollout["step_count"][:, 288].flatten().tolist() == [0, 0]
        assert rollout["state"][:, 288, :6].eq(22).all()

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_same_on_gpu(self):
        kwargs = {"climates": [TUCSON, NEW_YORK], "num_envs": 4, "seed": 3}
        levels = torch.randint(200, (288, 4, 6))
        cpu, gpu = SustainGymEnv("building", **kwargs), SustainGymEnv("building", **kwargs)
        gpu = gpu.to("cuda")
        check_env_specs(SustainGymEnv("building", device="cuda", **kwargs))
        expected = follow(cpu, levels, cpu.reset())
        ours = follow(gpu, levels.cuda(), gpu.reset())
        assert_same_course({key: value.cpu() for key, value in ours.items()}, expected)
        assert torch.equal(gpu.day.cpu(), cpu.day)


class TestErrors:
    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"env_name": "cogen"}, "env_name='cogen' must be 'building'"),
            ({"n_action_levels": 1}, "n_action_levels=1 must be an int of at least 2"),
            ({"n_action_levels": 20.0}, r"n_action_levels=20\.0 must be an int"),
            ({"n_action_levels": True}, "n_action_levels=True must be an int"),
            ({"num_envs": 0}, "num_envs=0 must be an int of at least 1"),
            ({"building": "Barn"}, "building='Barn' is unknown; .*OfficeSmall"),
            ({"climates": [("Hot", "Tucson")]}, "weather='Hot' is unknown; .*Hot_Dry"),
            ({"climates": [("Hot_Dry", "Paris")]}, "location='Paris' is unknown; .*Tucson"),
            ({"climates": []}, r"climates=\[\] must be a list of \(weather, location\)"),
            ({"climates": ["Hot_Dry"]}, r"climates=\['Hot_Dry'\] must be a list"),
            ({"climates": [TUCSON, TUCSON]}, "must not repeat a pair"),
            ({"days": (5, 5)}, r"days=\(5, 5\) must be a half-open range"),
            ({"days": (0.0, 5.0)}, "with int lo < hi"),
            ({"days": (1, 2, 3)}, "half-open range"),
            ({"days": 200}, "days=200 must be a half-open range"),
            ({"climates": TUCSON}, r"climates=\('Hot_Dry', 'Tucson'\) must be a list"),
            ({"days": (0, 366)}, r"365 days.*one single episode.*wrap_days=True"),
            ({"days": (-1, 5)}, r"days=\(-1, 5\) must satisfy 0 <= lo < hi <= 365"),
            ({"days": (9, 5), "wrap_days": True}, r"days=\(9, 5\) must be a half-open range"),
        ],
    )
    def test_arguments(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            SustainGymEnv(**kwargs)

    @pytest.mark.parametrize(
        ("entries", "match"),
        [
            ({"day": [0, 365, -1]}, r"'day' must be in \[0, 365\).*\{1: 365, 2: -1\}"),
            ({"climate": [0, 0, 1]}, r"'climate' must be in \[0, 1\).*\{2: 1\}"),
            ({"day": [[0, 1], [0, 1], [0, 1]]}, r"has shape \(3, 2\); expected \(3,\) or \(3, 1\)"),
            ({"day": [0.0, 1.0, 2.0]}, "'day' has dtype torch.float32; expected torch.int64"),
        ],
    )
    def test_reset(self, entries, match):
        env = SustainGymEnv("building", num_envs=3)
        with pytest.raises(ValueError, match=match):
            env.reset(at(**entries))

    def test_without_sustaingym(self, monkeypatch):
        env = MultiAgentBuildingEnv(parameters())
        monkeypatch.setattr(_building_checks, "_has_sustaingym", False)
        with pytest.raises(ImportError, match=r'pip install "torchrl_drigm\[sustaingym\]"'):
            SustainGymEnv("building")
        with pytest.raises(ImportError, match="SustainGymWrapper needs SustainGym"):
            SustainGymWrapper(env)

    def test_import_without_sustaingym(self, python, tmp_path):
        code = (
            "import sys\n"
            "missing = dict.fromkeys(['sustaingym', 'pettingzoo', 'gymnasium', 'pvlib'])\n"
            "sys.modules.update(missing)\n"
            "import torchrl_drigm.envs\n"
            "from torchrl_drigm.envs import *\n"
            "assert not torchrl_drigm.envs.libs._building_checks._has_sustaingym\n"
        )
        done = python("-c", code, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
