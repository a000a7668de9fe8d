"""GroupDR from config to trainer: where its data comes from, and what the minimum does."""

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import build, config, parameters
from torchrl_drigm.config import config_path
from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.envs.transforms import WorstGroupReward
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.tasks import BuildingTask, building, make_task
from torchrl_drigm.trainers import fit_reward_model, make_env

pytestmark = pytest.mark.sustaingym
TABLE_3 = [list(shift["climate"]) for shift in BuildingTask.suites["climate"]]
ACTION = ("agents", "action")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A model fitted on few days, and the folder of its run."""
    cfg = config("uncertainty=group_dr", "uncertainty.episodes=20", "uncertainty.updates=800")
    run_dir = tmp_path_factory.mktemp("run")
    return cfg, fit_reward_model(cfg, run_dir), run_dir


class TestFit:
    def test_report(self, fitted):
        cfg, model, run_dir = fitted
        report = pd.read_csv(run_dir / "reward_model.csv")
        assert report[["climate", "location"]].to_numpy().tolist() == cfg.uncertainty.climates
        assert report["transitions"].tolist() == [16 * 288] * 2  # four of twenty days are held out
        # better than the mean reward, also on the little data there is here
        assert (report["held_out_rmse"] < 0.7 * report["held_out_std"]).all()
        assert model.n_groups == 2
        assert (run_dir / "behaviour" / "metrics").exists()

    def test_follows_from_the_seed_and_leaves_the_generator_alone(self, tmp_path):
        reached = []
        for run, (before, seed) in enumerate([(1, 0), (2, 0), (2, 1)]):
            torch.manual_seed(before)
            state = torch.random.get_rng_state()
            cfg = config("uncertainty=group_dr", f"seed={seed}")
            model = fit_reward_model(cfg, tmp_path / str(run))
            assert torch.equal(torch.random.get_rng_state(), state)
            reached.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert torch.equal(reached[0], reached[1])
        assert not torch.equal(reached[1], reached[2])

    @pytest.mark.parametrize("uncertainty", ["none", "contamination", "tv"])
    def test_nothing_to_do_for_the_others(self, tmp_path, uncertainty):
        assert fit_reward_model(config(f"uncertainty={uncertainty}"), tmp_path) is None
        assert not list(tmp_path.iterdir())

    def test_resumed_run_fits_nothing(self, tmp_path):
        cfg = config("uncertainty=group_dr", "resume=elsewhere/checkpoint")
        assert fit_reward_model(cfg, tmp_path).n_groups == 2
        assert not list(tmp_path.iterdir())


class TestEnvironment:
    def test_reward(self, fitted):
        """Scaled worst reward to learn from, true return to log."""
        cfg, model, _ = fitted
        env = make_env(cfg, model)
        assert [list(climate) for climate in env.base_env.climates] == cfg.uncertainty.climates
        data = env.rollout(5)
        worst = model(data["state"], data[ACTION]).amin(-1, keepdim=True).detach()
        scaled = cfg.env.reward_scale * worst + cfg.env.reward_loc
        torch.testing.assert_close(data["next", "reward"], scaled)
        nominal = OmegaConf.merge(cfg, {"uncertainty": {"name": "none"}})
        nominal.env.climates = cfg.uncertainty.climates
        nominal.env.reward_scale, nominal.env.reward_loc = 1.0, 0.0
        truth = make_env(nominal)
        td = truth.reset(day=env.base_env.day.clone(), climate=env.base_env.climate.clone())
        for step in range(5):
            td[ACTION] = data[ACTION][:, step]
            td = truth.step(td)["next"].clone()
        torch.testing.assert_close(data["next", "episode_reward"][:, -1], td["episode_reward"])

    @pytest.mark.parametrize("mixer", ["vdn", "qmix", "qtran"])
    def test_one_climate_is_nominal_training_on_its_rewards(self, tmp_path, monkeypatch, mixer):
        """GroupDR with one group, against nominal training in an env that pays the model."""
        climates = "[[Hot_Humid,Tampa]]"
        model = GroupRewardModel(1, 10, 6, 10, hidden_size=8)
        with torch.no_grad():
            model.reward_scale.fill_(30.0)

        cfg = config("uncertainty=none")
        (norm,) = make_task(cfg).learning_transforms(make_env(cfg))
        loc, scale = norm.loc, norm.scale

        class ModelReward(SustainGymEnv):
            """Pays the model's reward, read from the scaled state as the policy sees it."""

            def _observe(self, *state):
                seen = super()._observe(*state)
                self._before, self._now = getattr(self, "_now", None), seen["state"]
                return seen

            def _step(self, tensordict):
                result = super()._step(tensordict)
                reward = model((self._before - loc) / scale, tensordict[ACTION]).detach()
                return result.set("reward", reward)

        def trained(name, *overrides, **kwargs):
            overrides = [*overrides, f"mixer={mixer}", "collector.total_frames=480"]
            trainer = build(tmp_path / name, *overrides, **kwargs)
            trainer.train()
            return parameters(trainer)

        overrides = ["uncertainty=group_dr", f"uncertainty.climates={climates}"]
        group_dr = trained("group", *overrides, reward_model=model)
        plain = trained("plain", "uncertainty=none", f"env.climates={climates}")
        monkeypatch.setattr(building, "SustainGymEnv", ModelReward)
        nominal = trained("nominal", "uncertainty=none", f"env.climates={climates}")
        torch.testing.assert_close(group_dr, nominal, rtol=0, atol=1e-6)
        assert not torch.allclose(plain, nominal, rtol=0, atol=1e-3)

    def test_the_model_is_not_trained_further(self, fitted, tmp_path):
        _, model, _ = fitted
        before = {name: value.clone() for name, value in model.state_dict().items()}
        overrides = ["uncertainty=group_dr", "collector.total_frames=160"]
        trainer = build(tmp_path, *overrides, reward_model=model)
        trainer.train()
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())


class TestConfig:
    def test_default_climates_are_env_1_to_env_5(self):
        cfg = config("uncertainty=group_dr", f"uncertainty.climates={TABLE_3[:1]}".replace("'", ""))
        assert cfg.uncertainty.climates == TABLE_3[:1]
        default = OmegaConf.load(config_path() / "uncertainty" / "group_dr.yaml")
        assert default.climates == TABLE_3[:5]

    def test_domain_randomisation(self):
        cfg = config("env=building_all_climates", "uncertainty=none")
        assert cfg.env.climates == TABLE_3[:5]
        assert cfg.env.reward_scale == config("uncertainty=none").env.reward_scale
        env = make_env(cfg)
        seen = torch.stack([(env.reset(), env.base_env.climate.clone())[1] for _ in range(20)])
        assert seen.unique().tolist() == [0, 1, 2, 3, 4]
        assert not any(isinstance(t, WorstGroupReward) for t in env.transform)

    @pytest.mark.parametrize("climate", ["[Mixed_Humid,NewYork]", "[Mixed_Humid,Tucson]"])
    def test_held_out_climate_is_refused(self, tmp_path, climate):
        cfg = config("uncertainty=group_dr", f"uncertainty.climates=[[Hot_Dry,Tucson],{climate}]")
        message = r"uncertainty.climates lists \('Mixed_Humid', .* env_6, which is held out"
        with pytest.raises(ValueError, match=message):
            fit_reward_model(cfg, tmp_path)
        with pytest.raises(ValueError, match=message):
            make_env(cfg, GroupRewardModel(2, 10, 6, 10))

    def test_needs_a_model_of_its_climates(self):
        cfg = config("uncertainty=group_dr")
        with pytest.raises(ValueError, match="of its 2 climates, received one of None"):
            make_env(cfg)
        with pytest.raises(ValueError, match="of its 2 climates, received one of 3"):
            make_env(cfg, GroupRewardModel(3, 10, 6, 10))

    def test_needs_a_day_to_judge_on(self, tmp_path):
        cfg = config("uncertainty=group_dr", "uncertainty.episodes=1")
        with pytest.raises(ValueError, match=r"uncertainty.episodes=1 must be at least 2"):
            fit_reward_model(cfg, tmp_path)
