"""Which mixer buildings of many zones are trained with, where none is asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from torchrl_drigm.config.compose import compose_config
from torchrl_drigm.envs.libs._building_file import ZONES, n_zones

__all__ = ["MANY", "mixer_for_zones"]

#: QMIX learns in a building of 18 zones, and in those of 22, 25 and 67 badly or nothing: the page
#: "Your building" has the table.
MANY = 20
_DECIDED = r"[+~]*(mixer\b|preset=(?!fast$))"  # by whoever says so
_NAMED = r"^[^#\n]*\b(mixer|preset)\b"  # in any file, as one may be made of others


def mixer_for_zones(
    config: str, overrides: Sequence[str], config_dir: str | None = None
) -> list[str]:
    """Overrides with ``mixer=vdn`` for a building of more than :data:`MANY` zones, and says so.

    That is where QMIX is the default: with ``preset=fast``, and unless an override or a file in
    the folder of configs of one's own names a mixer. A sweep over buildings stays as it is.

    Args:
        config (str): name of the config.
        overrides (sequence of str): as on a command line, without options.
        config_dir (str, optional): folder of configs of one's own.

    Examples:
        >>> mixer_for_zones("building", ["env.building=OfficeMedium"])
        ['env.building=OfficeMedium']
        >>> mixer_for_zones("building", ["env.building=HotelSmall", "mixer=qmix"])
        ['env.building=HotelSmall', 'mixer=qmix']
        >>> mixer_for_zones("building", ["env.building=HotelSmall"])
        ['env.building=HotelSmall', 'mixer=vdn']
    """
    overrides = list(overrides)
    if any(re.match(_DECIDED, word) for word in overrides):
        return overrides
    search = []
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            return overrides  # which Hydra says
        search = [f"hydra.searchpath=[file://{Path(config_dir).absolute()}]"]
        if any(re.search(_NAMED, file.read_text("utf-8"), re.M) for file in _files(config_dir)):
            return overrides
    elif not any(word.lstrip("+").startswith(("env.building=", "env=")) for word in overrides):
        return overrides  # without a look: the office, or no building
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
        # of several values it matters which building is meant, and no other
        one = [each.input_line for each in parsed if not each.is_sweep_override()]
        cfg = compose_config(*search, *one, config=config)
        n_agents = _agents(cfg)
    except (HydraException, OmegaConfBaseException, ValueError, OSError, ImportError):
        return overrides  # which is refused, in the words of what is wrong
    if cfg.mixer.name != "qmix" or n_agents <= MANY:
        return overrides
    print(
        f"{cfg.env.building} has {n_agents} zones: trained with mixer=vdn, as with more than "
        f"{MANY} QMIX, the default, learns badly or nothing. mixer=qmix takes it all the same.",
        file=sys.stderr,
    )
    return [*overrides, "mixer=vdn"]


def _files(folder: str) -> list[Path]:
    return [path for path in Path(folder).rglob("*.yaml") if path.is_file()]


def _agents(cfg: DictConfig) -> int:
    """Zones with a heater; 0 of what is no building."""
    if cfg.env.name != "building":
        return 0
    heated, building = cfg.env.ac_map, cfg.env.building
    if isinstance(heated, ListConfig):
        return sum(zone is True or zone == 1 for zone in heated)  # others are refused later
    if building in ZONES:
        return ZONES[building]
    return n_zones(building) if Path(building).is_file() else 0
