"""Composing a config: its types, what is refused and by which name, and Hydra's global state."""

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.version import VersionBase
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from torchrl_drigm.config import compose, compose_config, config_path, schema
from torchrl_drigm.trainers.builders import make_uncertainty
from torchrl_drigm.trainers.runs import run_identity

OWN = ["mixer.name=my.Mixer", "uncertainty.name=my.Set", "uncertainty.rho=2.0", "env.name=my.Env"]
GROUPS = ("env", "agent", "mixer", "uncertainty")


def choices(group):
    return [file.stem for file in sorted((config_path() / group).glob("*.yaml"))]


class TestTypes:
    @pytest.mark.parametrize(
        ("group", "choice"), [(group, choice) for group in GROUPS for choice in choices(group)]
    )
    def test_every_choice_has_a_dataclass_and_a_value_for_each_field(self, group, choice):
        cfg = compose_config(f"{group}={choice}", "preset=paper")
        assert issubclass(OmegaConf.get_type(cfg[group]), schema.RunConfig.__annotations__[group])
        missing = {"own": {f"{group}.name"}, "custom": {"env.make"}}.get(choice, set())
        assert OmegaConf.missing_keys(cfg) == missing

    @pytest.mark.parametrize("config", ["building", "battles"])
    def test_a_run_is_typed_as_a_whole(self, config):
        cfg = compose_config(config=config)
        assert issubclass(OmegaConf.get_type(cfg), schema.RunConfig)
        assert not OmegaConf.missing_keys(cfg)

    def test_later_assignments_are_checked(self):
        cfg = compose_config()
        with pytest.raises(ValidationError, match=r"(?s)'abc'.* Float.*full_key: optim.lr"):
            cfg.optim.lr = "abc"

    def test_own_classes_with_own_fields(self):
        own = ["env=own", "mixer=own", "uncertainty=own", *OWN]
        cfg = compose_config(*own, "+env.options.size=3", "+uncertainty.options={a: [1, 2]}")
        assert cfg.env == {
            **{"name": "my.Env", "num_envs": 64, "loc": 0.0, "scale": 1.0, "reward_scale": 1.0},
            "options": {"size": 3},
        }
        assert cfg.mixer == {"name": "my.Mixer", "options": {}}
        assert cfg.uncertainty.options == {"a": [1, 2]}

    @pytest.mark.parametrize("joint", [True, False], ids=["joint with reward", "next state alone"])
    @pytest.mark.parametrize("name", ["contamination", "tv", "cvar", "kl", "chi2"])
    def test_every_set_can_be_joint_with_the_reward(self, name, joint):
        cfg = compose_config(f"uncertainty={name}", f"uncertainty.joint_with_reward={joint}")
        assert make_uncertainty(cfg).joint_with_reward is joint

    def test_an_untyped_copy_is_the_same_run(self):
        """What ``config.yaml`` of a run gives back."""
        cfg = compose_config()
        copy = OmegaConf.create(OmegaConf.to_yaml(cfg))
        assert copy == cfg
        assert run_identity(copy) == run_identity(cfg)


class TestRefusals:
    @pytest.mark.parametrize(
        ("override", "kind"),
        [
            ("optim.lr=abc", "Float"),
            ("optim.lmbda=true", "Float"),
            ("optim.gamma=null", "Optional"),
            ("mixer.embed_dim=1.5", "Integer"),
            ("env.num_envs=many", "Integer"),
            ("env.climates=[[Hot_Dry,[Tucson]]]", "str"),
            ("env.loc=[a,b]", "Float"),
            ("env.days=5", "int"),
            ("compile=perhaps", "bool"),
            ("agent.core=[lstm]", "string"),
        ],
    )
    def test_a_value_of_another_type(self, override, kind):
        with pytest.raises(ConfigCompositionException) as refused:
            compose_config(override)
        assert override in str(refused.value)
        message = str(refused.value.__cause__)
        assert f"full_key: {override.split('=')[0]}" in message and kind in message

    @pytest.mark.parametrize(
        "field", ["optim.learning_rate", "uncertainty.rhoo", "mixer.size", "agent.env", "sede"]
    )
    def test_a_field_that_does_not_exist(self, field):
        with pytest.raises(ConfigCompositionException, match=f"Could not override '{field}'"):
            compose_config(f"{field}=1")

    @pytest.mark.parametrize("group", [*GROUPS, "preset"])
    def test_a_choice_that_does_not_exist(self, group):
        names = r"\s+".join(choices(group))
        message = rf"Could not find '{group}/nothing'\s+Available options in '{group}':\s+{names}"
        with pytest.raises(MissingConfigException, match=message):
            compose_config(f"{group}=nothing")

    def test_a_file_with_a_field_that_its_dataclass_lacks(self, tmp_path):
        """A YAML of one's own, found beside ours."""
        (tmp_path / "mixer").mkdir()
        (tmp_path / "mixer" / "big.yaml").write_text(
            "defaults: [qmix]\nembed_dim: 64\nhidden: 3\n", encoding="utf-8"
        )
        search = f"hydra.searchpath=[file://{tmp_path}]"
        with pytest.raises(ConfigCompositionException, match=r"(?s)hidden.*full_key: mixer.hidden"):
            compose_config("mixer=big", search)
        (tmp_path / "mixer" / "big.yaml").write_text("defaults: [qmix]\nembed_dim: 64\n")
        assert compose_config("mixer=big", search).mixer.embed_dim == 64

    def test_a_config_of_ones_own_beside_ours(self, tmp_path):
        (tmp_path / "mine.yaml").write_text("defaults: [building, _self_]\nseed: 4\n")
        cfg = compose_config("mixer=vdn", f"hydra.searchpath=[file://{tmp_path}]", config="mine")
        assert (cfg.seed, cfg.mixer.name, cfg.env.name) == (4, "vdn", "building")


class TestKnownChoices:
    """Values are set in what Hydra has composed of the same files: as Hydra itself sets them."""

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ("building", []),
            ("building", ["preset=paper", "mixer=qtran", "uncertainty=tv", "uncertainty.rho=0.3"]),
            ("building", ["seed=3", "optim.gamma=0.5", "optim.gamma=0.7", "logger=csv"]),
            ("building", ["optim={gamma: 0.5, lr: 1e-2}", "optim.lr=1e-3", "target.interval=null"]),
            ("building", ["env.climates=[[Hot_Dry,Tucson]]", "+stack.seed=[0,1]", "+x={a: 1}"]),
            (
                "building",
                ["uncertainty.rho=${optim.gamma}", "+stack={}", "+stack.b=[]", "agent=recurrent"],
            ),
            ("battles", ["optim.double_dqn=false", "compile=True", "~logger"]),
            ("torchrl", ["env=harvest", "env.num_envs=7", "++env.num_envs=8", "env.num_envs=9"]),
        ],
    )
    def test_it_is_the_same_config(self, config, words):
        found, expected = compose_config(*words, config=config), compose._compose(config, words)
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected) and found == expected
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)
        for name in expected:
            if OmegaConf.is_config(expected._get_node(name)):
                assert OmegaConf.get_type(found[name]) is OmegaConf.get_type(expected[name])

    @pytest.mark.parametrize(
        "words",
        [
            *(["optim.gama=0.5"], ["castle=1"], ["seed=x"], ["seed=0,1"], ["+optim.gamma=0.5"]),
            *(["mixer=other"], ["env.climates=[[a"], ["optim.lr=[1]"]),
        ],
    )
    def test_it_is_the_same_message(self, words):
        with pytest.raises(HydraException) as found:
            compose_config(*words)
        with pytest.raises(HydraException) as expected:
            compose._compose("building", words)
        assert str(found.value) == str(expected.value) and found.type is expected.type
        assert repr(found.value.__cause__) == repr(expected.value.__cause__)

    def test_files_are_read_once_and_each_config_is_ones_own(self, monkeypatch):
        first = compose_config("mixer=vdn", "optim.gamma=0.5")

        def refuse(*words):
            raise AssertionError("composed")

        monkeypatch.setattr(compose, "_compose", refuse)
        first.optim.lr = 7.0
        second = compose_config("mixer=vdn", "optim.gamma=0.6")
        assert (first.optim.gamma, second.optim.gamma) == (0.5, 0.6) and second.optim.lr != 7.0


class TestGlobalState:
    def test_hydra_is_left_uninitialised(self):
        compose_config()
        assert not GlobalHydra.instance().is_initialized()

    def test_hydra_is_left_uninitialised_by_a_refusal(self):
        with pytest.raises(ConfigCompositionException):
            compose_config("optim.lr=abc")
        assert not GlobalHydra.instance().is_initialized()

    def test_works_within_another_hydra(self, tmp_path):
        (tmp_path / "other.yaml").write_text("a: 1\n")
        with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
            version = VersionBase.instance().getbase()
            assert compose_config("mixer=vdn").mixer.name == "vdn"
            assert VersionBase.instance().getbase() == version
            assert hydra.compose("other") == {"a": 1}
