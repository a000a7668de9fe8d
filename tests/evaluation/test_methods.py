"""What a run is one seed of: told by its config, whatever its folder is called."""

from itertools import combinations, count

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.config import compose_config
from torchrl_drigm.config.added import ADDED
from torchrl_drigm.evaluation import describe_runs
from torchrl_drigm.evaluation.methods import leave_out_copies

BASE = {
    "mixer": {"name": "qmix", "embed_dim": 32},
    "uncertainty": {"name": "tv", "rho": 0.1, "worst_value": 0.0},
    "env": {"name": "smax", "map_name": "3m", "num_envs": 64},
    "optim": {"lr": 1e-3, "gamma": 0.99, "lmbda": None},
    "evaluation": {"episodes": 32, "num_envs": "${env.num_envs}"},
    "seed": 0,
    "device": "cpu",
    "threads": 1,
    "log_interval": 1000,
    "resume": None,
}


@pytest.fixture
def write(tmp_path):
    number = count()

    def write(**changes):
        """A run of the base with fields changed, ``env__map_name`` for ``env.map_name``."""
        cfg = OmegaConf.create(BASE)
        for field, value in changes.items():
            OmegaConf.update(cfg, field.replace("__", "."), value, force_add=True)
        folder = tmp_path / str(next(number))
        folder.mkdir()
        OmegaConf.save(cfg, folder / "config.yaml")
        return folder

    return write


CHANGES = [
    {"env__map_name": "3s_vs_5z"},
    {"env__name": "smac"},
    {"env__num_envs": 32},
    {"mixer__name": "vdn"},
    {"mixer__embed_dim": 64},
    {"uncertainty__name": "contamination"},
    {"uncertainty__rho": 0.2},
    {"uncertainty__rho": 0.1000000001},
    {"uncertainty__worst_value": -1.0},
    {"optim__gamma": 0.7},
    {"optim__lmbda": 0.8},
    {"optim__new": True},
    {"evaluation__episodes": 16},
]


def test_whatever_differs_but_the_seed_is_another_method(write):
    runs = [write(), *(write(**change) for change in CHANGES)]
    methods = describe_runs(runs)["method"]
    assert methods.is_unique, methods.tolist()
    for pair in combinations(runs, 2):  # told apart without the others too
        assert describe_runs(pair)["method"].is_unique


def test_seeds_and_what_decides_about_speed_are_one_method(write):
    neutral = {"device": "cuda", "threads": 4, "log_interval": 5, "resume": "x/checkpoint"}
    runs = [write(), write(seed=1), *(write(seed=2, **{k: v}) for k, v in neutral.items())]
    described = describe_runs(runs)
    assert set(described["method"]) == {"TV QMIX, ρ = 0.1"}
    assert described["seed"].tolist() == [0, 1, 2, 2, 2, 2]


def test_runs_of_before_a_field_was_added_are_the_same_method(write):
    """Those with the field at another value are not."""
    qtran = (compose_config("mixer=qtran", f"preset={preset}") for preset in ("fast", "paper"))
    configs = compose_config(), compose_config("env=smax", config="battles"), *qtran
    for field, before in ADDED.items():
        known = [OmegaConf.select(cfg, field, default=...) for cfg in configs]
        assert before in known, f"{field} is no field"
        now = write(seed=1, **{field.replace(".", "__"): before})
        assert describe_runs([write(), now])["method"].nunique() == 1, field
        other = write(**{field.replace(".", "__"): "other"})
        assert describe_runs([write(), other])["method"].is_unique, field


def test_names_say_what_differs(write):
    runs = [write(), write(optim__gamma=0.7), write(uncertainty__rho=0.3)]
    assert describe_runs(runs)["method"].tolist() == [
        "TV QMIX, ρ = 0.1, optim.gamma=0.99",
        "TV QMIX, ρ = 0.1, optim.gamma=0.7",
        "TV QMIX, ρ = 0.3",
    ]
    runs = [write(), write(optim__gamma=0.7, optim__lr=1e-4, env__num_envs=32)]
    # num_envs sets evaluation.num_envs too
    assert describe_runs(runs)["method"][1] == "TV QMIX, ρ = 0.1, env.num_envs=32 and 3 more"


def test_maps_simulators_and_buildings_are_always_named(write):
    runs = [write(), write(uncertainty__name="none", env__map_name="3s_vs_5z")]
    assert describe_runs(runs)["method"].tolist() == [
        "TV QMIX, ρ = 0.1, env.map_name=3m",
        "nominal QMIX, env.map_name=3s_vs_5z",
    ]


def test_a_nominal_run_has_no_set_whose_fields_could_differ(write):
    runs = [write(uncertainty__name="none"), write(uncertainty={"name": "none"})]
    described = describe_runs(runs)
    assert described["method"].tolist() == ["nominal QMIX"] * 2
    assert described["rho"].tolist() == [0.0, 0.0]


def test_contamination_of_size_0_is_nominal(write):
    sizes = [write(uncertainty={"name": "contamination", "rho": rho}) for rho in (0, 0.0, 0.1)]
    described = describe_runs([write(uncertainty__name="none"), *sizes])
    assert described["method"].tolist() == ["nominal QMIX"] * 3 + ["contamination QMIX, ρ = 0.1"]
    assert described["uncertainty"].tolist() == ["none"] * 3 + ["contamination"]
    assert described["rho"].tolist() == [0.0, 0.0, 0.0, 0.1]


def test_families_share_all_but_rho_and_settings_all_but_the_set(write):
    runs = [write(), write(uncertainty__rho=0.2), write(uncertainty__name="none"), write(seed=1)]
    runs += [write(optim__lr=1e-4)]
    described = describe_runs(runs)
    tv, other, nominal = "TV QMIX, optim.lr=0.001", "TV QMIX, optim.lr=0.0001", "nominal QMIX"
    assert described["family"].tolist() == [tv, tv, nominal, tv, other]
    qmix, slower = "QMIX, optim.lr=0.001", "QMIX, optim.lr=0.0001"
    assert described["setting"].tolist() == [qmix, qmix, qmix, qmix, slower]


def test_a_copy_of_a_seed_is_named(write):
    described = describe_runs([write(), write(), write(seed=1)])
    left_out = {}
    assert leave_out_copies(described, left_out)["seed"].tolist() == [0, 1]
    ((run, reason),) = left_out.items()
    assert run.endswith("1") and "has the config and the seed of" in reason and reason.endswith("0")


class TestRefusals:
    def test_no_config(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no config.yaml in .*name folders of runs"):
            describe_runs([tmp_path])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("seed: 0\nmixer: {name: qm", "config.yaml cannot be read"),
            ("- a list", "config.yaml cannot be read"),
            ("3", "config.yaml cannot be read"),
            ("a word", "config.yaml lacks mixer.name"),
            (b"seed: \xff", "config.yaml cannot be read"),
            ("", "config.yaml lacks mixer.name, uncertainty.name, seed"),
            ("seed: 0\nmixer: {name: qmix}\n", "config.yaml lacks uncertainty.name: it is damaged"),
        ],
    )
    def test_damaged_config(self, tmp_path, text, message):
        (tmp_path / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ValueError, match=message):
            describe_runs([tmp_path])

    def test_a_config_that_changes_is_read_anew(self, write):
        run = write(mixer__name="vdn")
        assert describe_runs([run])["mixer"].tolist() == ["vdn"]
        file = run / "config.yaml"
        file.write_text(file.read_text().replace("vdn", "qmix"))
        assert describe_runs([run])["mixer"].tolist() == ["qmix"]


def test_classes_of_ones_own_are_called_what_they_call_themselves(write):
    paths = {"mixer__name": "my_module.MyMixer", "uncertainty__name": "my_module.MySet"}
    known = "torchrl_drigm.uncertainty.TotalVariation"
    runs = describe_runs([write(**paths), write(uncertainty__name=known)])
    assert runs["family"].tolist() == ["MySet MyMixer", "TV QMIX"]
