"""Buildings of many zones are trained with VDN, unless someone says otherwise."""

import re

import pytest

from tests.cpu_time import ROOT, run_python
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands import choose
from torchrl_drigm.commands._many_zones import MANY, mixer_for_zones
from torchrl_drigm.commands.train import _config_dir
from torchrl_drigm.envs.libs._building_file import ZONES

HOTEL = "env.building=HotelSmall"  # 67 zones
FEW = [True] * 5 + [False] * 62


@pytest.mark.parametrize(
    "words",
    [
        [HOTEL],
        [HOTEL, "uncertainty=none", "preset=fast"],
        [HOTEL, "seed=0,1"],  # a sweep
        [HOTEL, "+stack.runs=2", "+stack.seed=[0,1]"],
        ["env=building_failures", HOTEL],
        ["env.building=OutPatientHealthCare"],
        [f"++{HOTEL}"],
    ],
    ids=" ".join,
)
def test_many_zones_and_nobody_said(words, capsys):
    assert mixer_for_zones("building", words) == [*words, "mixer=vdn"]
    told = capsys.readouterr().err
    name, n = re.match(r"(\w+) has (\d+) zones: trained with mixer=vdn", told).groups()
    assert ZONES[name] == int(n)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["env.building=OfficeMedium"],  # 18
        [HOTEL, "mixer=qmix"],
        [HOTEL, "mixer.embed_dim=16"],
        [HOTEL, "mixer=qmix,vdn"],
        [HOTEL, "preset=paper"],
        ["env.building=HotelSmall,OfficeSmall"],  # each would want its own
        [HOTEL, f"env.ac_map={FEW}".replace(" ", "")],  # five agents
        ["env.building=own.htm", "env.ac_map=[true,0,maybe]"],  # refused later
        ["env.building=HotelBig"],  # there is none, which is refused later
        [HOTEL, "env.zones=3"],  # no field, likewise
    ],
    ids=" ".join,
)
def test_nothing_changes(words, capsys):
    assert mixer_for_zones("building", words) == words
    assert mixer_for_zones("torchrl", ["env=vmas"]) == ["env=vmas"]
    assert not capsys.readouterr().err


def test_a_config_of_ones_own(tmp_path):
    home = "# no mixer\ndefaults:\n  - building\n  - _self_\nenv:\n  building: HotelSmall\n"
    (tmp_path / "home.yaml").write_text(home)
    assert mixer_for_zones("home", [], str(tmp_path)) == ["mixer=vdn"]
    (tmp_path / "home.yaml").write_text(
        home.replace("  - _self_", "  - override mixer: qmix\n  - _self_")
    )
    assert mixer_for_zones("home", [], str(tmp_path)) == []
    (tmp_path / "night.yaml").write_text("defaults:\n  - home\n  - _self_\nseed: 3\n")
    assert mixer_for_zones("night", [], str(tmp_path)) == []


def test_train_and_choose_ask_for_it(tmp_path, monkeypatch):
    done = run_python(
        *("-m", "torchrl_drigm", "train", "building", HOTEL, "--cfg", "job"), cwd=tmp_path
    )
    assert "mixer:\n  name: vdn\n" in done.out
    assert done.err.count("trained with mixer=vdn") == 1
    asked = []

    def seen(config, overrides, config_dir):
        asked.append(overrides)
        raise ValueError("seen")

    monkeypatch.setattr(choose, "read_sweep", seen)
    with pytest.raises(SystemExit):
        main(["choose", "building", HOTEL, "uncertainty.rho=0.1,0.2"])
    assert asked == [[HOTEL, "uncertainty.rho=0.1,0.2", "mixer=vdn"]]


@pytest.mark.parametrize(
    "options", [["--config-dir=conf"], ["-m", "--config-dir", "conf"], ["-cd", "conf", "--cfg"]]
)
def test_the_folder_of_configs_is_found_among_options(options):
    assert _config_dir(options) == "conf"
    assert _config_dir(options[:0]) is None
    assert _config_dir(["-m", "--config-dir"]) is None  # which Hydra refuses


def test_the_page_names_the_number():
    page = (ROOT / "docs" / "your_building.md").read_text()
    assert f"more than {MANY} zones" in page
    # TV QMIX of the table, by the number of zones: the limit lies where it stops to learn
    table = page[page.index("### More than 20 zones") :]
    qmix = {
        int(n): float(first)
        for n, first in re.findall(r"^\| \w+ \| (\d+) \| (-?[\d.]+)", table, re.MULTILINE)
    }
    assert all((value > 0.6) == (n <= MANY) for n, value in qmix.items()) and len(qmix) == 5
