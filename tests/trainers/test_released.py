"""The networks that the paper's authors published, played as they were trained."""

import pickle

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import Compose

from tests.trainers import published
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import is_released, load_released_team, released_label

pytestmark = pytest.mark.sustaingym
pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm.envs import SustainGymEnv  # noqa: E402


@pytest.fixture
def networks():
    return published.networks()


@pytest.fixture
def folder(tmp_path, networks):
    return published.write(tmp_path / published.NAME, networks)


@torch.no_grad()
def played_by_hand(networks, climate, day):
    """Actions ``[288, 6]`` and the return of a day, with lists for windows."""
    env = SustainGymEnv(n_action_levels=published.N_ACTIONS, climates=[climate])
    td = env.reset(day=torch.tensor([day]), climate=torch.tensor([0]))
    seen = [[torch.zeros(5)] * 7 for _ in networks]
    done = [[0] * 7 for _ in networks]
    previous, actions, total = [0] * 6, [], 0.0
    for _ in range(288):
        for agent in range(6):
            seen[agent] = [*seen[agent], td["agents", "observation"][0, agent]][-8:]
            done[agent] = [*done[agent], previous[agent]][-8:]
        previous = [
            network(torch.stack(window)[None], torch.tensor(before)[None]).argmax(-1).item()
            for network, window, before in zip(networks, seen, done, strict=True)
        ]
        actions.append(previous)
        td["agents", "action"] = torch.tensor([previous])
        td = env.step(td)["next"]
        total += td["reward"].item()
    assert td["done"].all()
    return torch.tensor(actions), total


@pytest.mark.parametrize(
    ("climate", "day"), [(("Hot_Dry", "Tucson"), 17), (("Mixed_Humid", "NewYork"), 180)]
)
def test_a_day_is_played_as_in_plain_pytorch(folder, networks, climate, day):
    actions, expected = played_by_hand(networks, climate, day)
    assert (actions[1:] != actions[:-1]).any(), "the day would tell nothing"
    team, played = load_released_team(folder), []

    def remembering(td):
        td = team(td)
        played.append(td["agents", "action"].clone())
        return td

    shift = {"name": "a day", "climate": climate, "days": (day, day + 1)}
    results = evaluate(
        remembering, team.task, [shift], episodes=1, transform=Compose(*team.memory())
    )
    assert torch.equal(torch.cat(played), actions)
    assert results["return"].item() == pytest.approx(expected, rel=1e-5)


def test_values_are_those_of_plain_pytorch(folder, networks):
    team = load_released_team(folder)
    windows = torch.randn(9, 6, 8, 5) * 20, torch.randint(200, (9, 6, 8))
    td = TensorDict(dict(zip(team.in_keys, windows, strict=True)), [9])
    value = team(td)["agents", "action_value"]
    for agent, network in enumerate(networks):
        expected = network(windows[0][:, agent], windows[1][:, agent])
        torch.testing.assert_close(value[:, agent], expected, rtol=1e-4, atol=1e-5)


def test_a_team_brings_its_window_and_its_task(folder):
    team = load_released_team(folder)
    assert team.task.name == "building" and team.task.n_action_levels == 200
    assert [memory.window for memory in team.memory()] == [8]
    assert not team.agents.training


def test_loading_changes_nothing(folder):
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}
    load_released_team(folder)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")} == before


def test_folders_are_told_by_their_layout_and_named_by_their_names(folder, tmp_path):
    assert is_released(folder) and not is_released(tmp_path)
    assert released_label(folder) == "released TV QMIX, ρ = 0.2"
    names = {
        "robust_vdn_rho_0.0_20250917_193726": "released nominal VDN",
        "robust_qtran_rho_0.02_20250918_070229": "released contamination QTRAN, ρ = 0.02",
        "robust_vdn_groupdr_rho_0.0_20250918_084658": "released GroupDR VDN",
        "behavior": "released behavior",
    }
    for name, label in names.items():
        assert released_label(tmp_path / name) == label


class Attack:
    def __reduce__(self):
        return (print, ("executed",))


class TestRefused:
    @staticmethod
    def file(folder, agent=2):
        return folder / "network_parameter" / f"agent_{agent}_q_network.pt"

    def test_another_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no network_parameter in .*: name a folder"):
            load_released_team(tmp_path)

    def test_a_missing_agent(self, folder):
        for agent in (2, 5):
            self.file(folder, agent).unlink()
        message = r"network_parameter lacks agent_2_q_network.pt, agent_5_q_network.pt: a team"
        with pytest.raises(FileNotFoundError, match=message):
            load_released_team(folder)

    def test_one_agent_more(self, folder):
        self.file(folder).rename(self.file(folder, 6))
        torch.save(published.Network().state_dict(), self.file(folder))
        with pytest.raises(ValueError, match=r"has agent_6_q_network.pt beside the networks of"):
            load_released_team(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"fc1.weight": torch.zeros(64, 45)},
                r"fc1.weight is of shape \(64, 45\), and in a published network of shape "
                r"\(64, 205\)\. Name",
            ),
            ({"fc_out.bias": None}, r"fc_out.bias is not there, and in a .* of shape \(200,\)"),
            ({"fc2.bias": torch.zeros(3)}, r"fc2.bias is of shape \(3,\), and in .* not there"),
            ({"fc1.bias": torch.zeros(64, dtype=torch.int64)}, r"fc1.bias is no tensor of real"),
            ({"fc1.bias": "zeros"}, r"fc1.bias is no tensor of real numbers, and in a published"),
            ({"lstm.bias_hh_l0": torch.full((256,), torch.nan)}, r"numbers that are not finite"),
        ],
        ids=["shape", "key that is missing", "key more", "type", "no tensor", "nan"],
    )
    def test_another_network(self, folder, networks, change, message):
        state = {**networks[2].state_dict(), **change}
        torch.save({k: v for k, v in state.items() if v is not None}, self.file(folder))
        with pytest.raises(ValueError, match=rf"cannot load .*agent_2_q_network.pt: .*{message}"):
            load_released_team(folder)

    def test_no_parameters_by_name(self, folder):
        torch.save([torch.zeros(3)], self.file(folder))
        with pytest.raises(ValueError, match=r"agent_2_q_network.pt: it holds a list, and a publ"):
            load_released_team(folder)

    @pytest.mark.parametrize("write", [torch.save, lambda x, f: f.write_bytes(pickle.dumps(x))])
    def test_a_file_with_code_which_is_not_executed(self, folder, capsys, write):
        write(Attack(), self.file(folder))
        message = r"agent_2_q_network.pt: it is no file of tensors alone, and what else is in it"
        with pytest.raises(ValueError, match=message):
            load_released_team(folder)
        assert "executed" not in capsys.readouterr().out

    @pytest.mark.parametrize("length", [0, 100, 5000])
    def test_a_damaged_file(self, folder, length):
        self.file(folder).write_bytes(self.file(folder).read_bytes()[:length])
        with pytest.raises(ValueError, match=r"agent_2_q_network.pt: it is (damaged|no file of)"):
            load_released_team(folder)
