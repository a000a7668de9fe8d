"""Playing the networks that the paper's authors published, beside our own teams."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from torchrl_drigm.commands._played import TEST_SEED, WAY, Played, is_played
from torchrl_drigm.evaluation.compare import evaluation_file
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.report import evaluate_all
from torchrl_drigm.tasks import BuildingTask
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers import load_released_team, released_label
from torchrl_drigm.trainers.released_folder import find_networks, find_released

__all__ = ["PublishedTeam", "check_elsewhere", "find_published"]


@dataclass(frozen=True)
class PublishedTeam:
    """Published networks, and where what they play is written; nothing is into their own folder.

    Attributes:
        folder: theirs.
        label: what tables call them.
        seed: of their training, as the folders tell it.
        networks: a hash of their files.
    """

    folder: Path
    label: str
    seed: int
    networks: str

    def place(self, out: Path) -> Path:
        """Folder of their results below ``out``: by label and seed, wherever they lie."""
        name = re.sub(r"[^\w.-]+", "_", self.label.replace("ρ = ", "rho_"))
        return out / name / f"seed_{self.seed}"

    def waiting(self, out: Path, played: Played) -> dict[str, Path]:
        """The suites that they have not played, and the files of these results.

        Raises:
            ValueError: for results that are torn, or of other networks, another version of the
                environment or number of episodes.
        """
        files = {suite: self.place(out) / evaluation_file(suite) for suite in played.suites}
        return {suite: file for suite, file in files.items() if not self._has(file, played, suite)}

    def _has(self, file: Path, played: Played, suite: str) -> bool:
        if not is_played(file, played.episodes, BuildingTask, suite, references=()):
            return False
        own = {"policy": self.label, "seed": self.seed, "networks": self.networks}
        there = pd.read_csv(file, dtype={"networks": str})
        for name, value in own.items():
            if name not in there or set(there[name]) != {value}:
                raise ValueError(
                    f"{file} was not played by {self.folder}: its {name} is not {value!r}. {WAY}"
                )
        return True

    def play(self, out: Path, played: Played) -> list[str]:
        """Play what is missing, in one thread; nothing goes wrong without an error."""
        torch.set_num_threads(1)
        waiting = self.waiting(out, played)
        team = load_released_team(self.folder) if waiting else None
        for suite, file in waiting.items():
            rows = evaluate_all(
                {self.label: team}, team.task, suite, episodes=played.episodes, seed=TEST_SEED
            )
            version = environment_version(BuildingTask.packages)
            own = {"seed": self.seed, "networks": self.networks, "environment": version}
            save_results(rows.assign(**own), file)
        return []


def find_published(folder: Path) -> list[PublishedTeam]:
    """Published networks at any depth; the seed of each is that of ``results_seeds_N``.

    Copies of the same networks are one team, which is said on the standard error.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if one is damaged or incomplete: before anything is trained. If two teams have
            one label and seed.
    """
    found: list[PublishedTeam] = []
    for one in find_released(folder):
        load_released_team(one)
        parts = one.resolve().parts
        numbers = [m[1] for part in parts if (m := re.fullmatch(r"results_seeds_(\d+)", part))]
        seed = int(numbers[-1]) if numbers else 0
        team = PublishedTeam(one, released_label(one), seed, _hash(one))
        for other in found:
            if other.networks == team.networks:
                print(f"{one} is a copy of {other.folder}: one team, once.", file=sys.stderr)
                break
            if other.place(Path()) == team.place(Path()):
                raise ValueError(
                    f"{one} and {other.folder} are both seed {seed} of {team.label!r}, by the "
                    "names of their folders: leave one of them out, or call its folder "
                    "results_seeds_N."
                )
        else:
            found.append(team)
    return found


def check_elsewhere(teams: Sequence[PublishedTeam], out: Path, played: Played) -> None:
    """Refuse results below ``out`` that no table can have, or not beside one of the teams.

    Tables have all that lies there. Results of a team that are not where it has them, such as those
    of a copy of the same networks under another seed, would be in them twice.

    Raises:
        ValueError: naming the file, if it is torn, or of another version of the environment or
            number of episodes, or of one of the teams.
    """
    places = {team.place(out) for team in teams}
    suites = {evaluation_file(suite): suite for suite in BuildingTask.suites}
    for file in sorted(out.rglob(evaluation_file("*"))):
        if file.name not in suites:
            raise ValueError(f"{file} is of no suite that buildings have. {WAY}")
        is_played(file, played.episodes, BuildingTask, suites[file.name], references=())
        if file.parent in places:
            continue
        for row in pd.read_csv(file, nrows=1).to_dict("records"):
            for team in teams:
                same = (row.get("policy"), row.get("seed")) == (team.label, team.seed)
                if same or row.get("networks") == team.networks:
                    raise ValueError(
                        f"{file} is of the networks in {team.folder}, or of others with their name "
                        f"and seed, which belong into {team.place(out)}. {WAY}"
                    )


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in find_networks(folder):
        digest.update(file.read_bytes())
    return f"sha256:{digest.hexdigest()[:16]}"
