"""Folders of the networks that the paper's authors published, looked at without PyTorch."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["RELEASED", "find_networks", "find_released", "is_released", "released_label"]

NETWORKS = "network_parameter"
RELEASED = ("preset=released", "mixer=vdn", "uncertainty=none")  # the config of their agents
N_AGENTS = 6  # zones of SustainGym's small office
# names of the published folders, such as robust_qmix_g_rho_0.2_20250918_010857
_FOLDER = re.compile(r"robust_(vdn|qmix|qtran)(_g|_groupdr)?_rho_([\d.]+)_\d{8}_\d{6}")
_SETS = {None: "contamination", "_g": "TV", "_groupdr": "GroupDR"}


def is_released(folder: str | Path) -> bool:
    """Whether a folder is laid out as the published ones: with a folder ``network_parameter``."""
    return (Path(folder) / NETWORKS).is_dir()


def released_label(folder: str | Path) -> str:
    """What tables call the team of a folder: by its name where that is one of the published ones.

    Examples:
        >>> released_label("results_seeds_0/robust_qmix_g_rho_0.2_20250918_010857")
        'released TV QMIX, ρ = 0.2'
        >>> released_label("robust_vdn_rho_0.0_20250917_193726"), released_label("mine")
        ('released nominal VDN', 'released mine')
    """
    name = Path(folder).resolve().name
    found = _FOLDER.fullmatch(name)
    if found is None:
        return f"released {name}"
    mixer, kind, rho = found.groups()
    if kind == "_groupdr":
        return f"released GroupDR {mixer.upper()}"
    if kind is None and float(rho) == 0:
        return f"released nominal {mixer.upper()}"
    return f"released {_SETS[kind]} {mixer.upper()}, ρ = {rho}"


def find_networks(folder: Path) -> list[Path]:
    """The files of a team's networks, one for each agent.

    Raises:
        FileNotFoundError: if there are none in the folder, or that of an agent is missing.
        ValueError: if there are those of more agents.
    """
    if not is_released(folder):
        raise FileNotFoundError(
            f"no {NETWORKS} in {folder}: name a folder of published networks, which has "
            f"{NETWORKS}/agent_0_q_network.pt and so on."
        )
    files = [folder / NETWORKS / f"agent_{agent}_q_network.pt" for agent in range(N_AGENTS)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder / NETWORKS} lacks {', '.join(missing)}: a team has one network for each of "
            f"the {N_AGENTS} zones. Copy all of them."
        )
    known = {file.name for file in files}
    others = sorted(f.name for f in (folder / NETWORKS).glob("agent_*") if f.name not in known)
    if others:
        raise ValueError(
            f"{folder / NETWORKS} has {', '.join(others)} beside the networks of the "
            f"{N_AGENTS} zones of the small office: these are of another building."
        )
    return files


def find_released(folder: Path) -> list[Path]:
    """Folders of published networks at any depth.

    Raises:
        FileNotFoundError: if there are none, or the network of an agent is missing.
        ValueError: if there are networks of more agents.
    """
    found = sorted(path.parent for path in folder.rglob(NETWORKS) if path.is_dir())
    if not found:
        raise FileNotFoundError(
            f"no {NETWORKS} below {folder}: name a folder with published networks."
        )
    for one in found:
        find_networks(one)
    return found
