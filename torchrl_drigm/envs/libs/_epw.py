"""Weather files in the form of EnergyPlus (EPW): what SustainGym can read as a year.

SustainGym takes the rows of such a file for the hours of a year of 365 days, whatever they are: it
lays the ground's temperatures beside them and interpolates all series linearly. So the file is read
here first, and what would be taken for something else is refused.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["check_epw", "ground_temperatures"]

N_HEADER = 8
# the 4th to 6th line may have anything
HEADER = {0: "LOCATION", 3: "GROUND TEMPERATURES", 7: "DATA PERIODS"}
N_FIELDS = 35  # pvlib, by which SustainGym reads a file, takes no other number
YEAR, MONTH, DAY, HOUR, TEMPERATURE, GHI = 0, 1, 2, 3, 6, 13
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
HOURS_PER_YEAR = 24 * sum(DAYS)
# name, what EPW writes where it is missing, lowest and highest value that EPW allows
FIELDS = {
    TEMPERATURE: ("dry bulb temperature", 99.9, -70.0, 70.0),
    GHI: ("global horizontal radiation", 9999.0, 0.0, 2000.0),
}
# SustainGym's own files come to 0.8 hours, where clouds gather at one time of the day
LARGEST_SHIFT = 1.5  # hours
# of twilight and of clocks that are a little off nothing is said
LARGEST_NIGHT, DEEP_NIGHT = 5.0, -18.0  # Wh/m², degrees

Place = tuple[float, float, float]  # latitude, longitude, time zone


def check_epw(path: str | Path) -> None:
    """Refuses a weather file that SustainGym would take for another weather.

    Accepted is a year of 8,760 hourly rows from 1 January, in local standard time, without missing
    temperatures or radiation.

    Args:
        path (str or Path): the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, the row and its field, the value and what to do.
    """
    path = Path(path)
    lines = _lines(path)
    for i, name in HEADER.items():
        if len(lines) <= i or not lines[i].upper().startswith(name):
            found = lines[i][:40] if len(lines) > i else "nothing"
            raise ValueError(
                f"{path}: line {i + 1} of an EPW file begins with {name!r}, here it is {found!r}. "
                "Take a file in the format of EnergyPlus, with its eight lines of header."
            )
    place = _place(path, lines[0])
    rows = [line.split(",") for line in lines[N_HEADER:]]
    _check_fields(path, rows)
    _check_step(path, lines[7], rows)
    _check_length(path, rows)
    for number, (row, date) in enumerate(zip(rows, _hours(), strict=True), 1):
        if [row[i].strip() for i in (MONTH, DAY, HOUR)] != [str(x) for x in date]:
            there = ", ".join(row[i].strip() for i in (MONTH, DAY, HOUR))
            raise ValueError(
                f"{path}: row {number} is of month, day, hour = {there}, and should be of "
                f"{', '.join(map(str, date))}: SustainGym takes rows by their number, from 1 "
                "January on. Sort them, and put in what is missing."
            )
        if not re.fullmatch(r"1[7-9]\d\d|2[01]\d\d", year := row[YEAR].strip()):
            raise ValueError(
                f"{path}: row {number} (line {number + N_HEADER}), field {YEAR + 1}, year = {year} "
                "must have four digits, of 1700 to 2199: correct it, or take another copy."
            )
    values = {i: [_value(path, n, row, i) for n, row in enumerate(rows, 1)] for i in FIELDS}
    _check_noon(path, place, values[GHI])
    _check_nights(path, place, values[GHI], rows)


def ground_temperatures(path: str | Path) -> tuple[float, list[float]] | None:
    """Depth in m and °C of each month, of the shallowest ground that an EPW file tells of.

    Args:
        path (str or Path): the file.

    Returns:
        tuple or None: ``None`` where the file tells of none.
    """
    _, _, *cells = _lines(Path(path))[3].split(",")
    try:
        found = sorted(
            (float(cells[i]), [float(x) for x in cells[i + 4 : i + 16]])
            for i in range(0, len(cells) - 15, 16)
        )
    except ValueError:
        return None
    return found[0] if found else None


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"climates: there is no file {path}: a weather that is none of SustainGym's is an .epw "
            f"file, by its path from the folder that Python was started in ({Path.cwd()})."
        )
    try:
        # as pvlib does: a byte-order mark and blank lines at the end are no part of the file
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no UTF-8 text (byte {error.start}): save it as UTF-8, such as by "
            f"iconv -f latin1 -t utf-8."
        ) from error


def _place(path: Path, line: str) -> tuple[float, float, float]:
    """Latitude and longitude in degrees, and hours that local standard time is ahead of UTC."""
    cells = line.split(",")
    try:
        latitude, longitude, zone, _ = map(float, cells[6:10])
    except ValueError:
        raise ValueError(
            f"{path}: LOCATION must end in latitude, longitude, time zone and elevation, here "
            f"{','.join(cells[6:10])!r}. Write the numbers of the place."
        ) from None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and abs(zone) <= 14):
        raise ValueError(
            f"{path}: LOCATION has latitude {latitude:g}, longitude {longitude:g} and time zone "
            f"{zone:g}, which is no place: degrees north and east, and hours ahead of UTC."
        )
    return latitude, longitude, zone


def _check_fields(path: Path, rows: list[list[str]]) -> None:
    """Every row must have as many fields as EPW has."""
    for number, row in enumerate(rows, 1):
        n = len(row)
        if n == N_FIELDS:
            continue
        if n > N_FIELDS:
            remedy = (
                "a comma separates fields, so write numbers with a point, 12.3 instead of 12,3, "
                "and leave out what stands behind the 35th."
            )
        elif all(len(other) == n for other in rows):
            remedy = (
                "the 7th is the dry bulb temperature and the 14th the global horizontal radiation, "
                "with commas between fields. Take a file in the format of EnergyPlus, such as from "
                "https://climate.onebuilding.org."
            )
        else:
            remedy = "the file is cut or damaged there. Take another copy."
        raise ValueError(
            f"{path}: row {number} (line {number + N_HEADER}) has {n} fields, and EPW has "
            f"{N_FIELDS}: {remedy}"
        )


def _check_step(path: Path, line: str, rows: list[list[str]]) -> None:
    """What the header says of the rows, and what they are."""
    periods, per_hour = [*line.split(","), "", ""][1:3]
    hours = [row[HOUR].strip() for row in rows]
    repeated = len(list(itertools.takewhile(lambda hour: hour == hours[0], hours)))
    if repeated > 1 and len(set(hours[repeated : 2 * repeated])) == 1:
        raise ValueError(
            f"{path}: its rows are {repeated} records per hour, {60 // repeated} minutes apart, "
            "and SustainGym would take each row for an hour. Make hourly rows: of every hour the "
            "last temperature and the mean radiation."
        )
    if per_hour.strip() != "1":
        raise ValueError(
            f"{path}: line 8, DATA PERIODS, says {per_hour.strip()!r} records per hour, and the "
            "rows are hourly: correct that line to 1, or take another copy."
        )
    if periods.strip() != "1":
        raise ValueError(
            f"{path}: DATA PERIODS says {periods!r} periods, and a year in one piece is needed: "
            "take a file of one period from 1/1 to 12/31."
        )


def _check_length(path: Path, rows: list[list[str]]) -> None:
    n = len(rows)
    if n == HOURS_PER_YEAR:
        return
    if n == HOURS_PER_YEAR + 24:
        raise ValueError(
            f"{path} has {n} rows, the hours of a leap year: SustainGym's year has 365 days, by "
            "which it lays out the ground's temperatures. Leave out the 24 rows of 29 February."
        )
    what = "is cut" if n < HOURS_PER_YEAR else "has more than a year"
    raise ValueError(
        f"{path} has {n} rows, and a year of hours has {HOURS_PER_YEAR}: it {what}. Take another "
        "copy, or a file of one whole year."
    )


def _hours() -> Iterator[tuple[int, int, int]]:
    for month, days in enumerate(DAYS, 1):
        for day in range(1, days + 1):
            for hour in range(1, 25):
                yield month, day, hour


def _value(path: Path, number: int, row: list[str], i: int) -> float:
    """A number of a row, which is there and possible."""
    name, missing, low, high = FIELDS[i]
    try:
        value = float(row[i])
    except ValueError:
        value = math.nan
    date = f"month {row[MONTH].strip()}, day {row[DAY].strip()}, hour {row[HOUR].strip()}"
    where = f"{path}: row {number} ({date}), field {i + 1}, {name} = {row[i].strip()}"
    if value == missing or (i == GHI and value >= missing):
        raise ValueError(
            f"{where} is EPW's mark of a missing value, and SustainGym would take it for one: fill "
            "it from the hours around it, or take a file without gaps."
        )
    if not low <= value <= high:
        raise ValueError(
            f"{where} must be a number between {low:g} and {high:g}: correct it, or take another "
            "file."
        )
    return value


def _check_noon(path: Path, place: Place, radiation: list[float]) -> None:
    """The sun must stand highest when it does at that place, in local standard time."""
    if not any(radiation):
        raise ValueError(
            f"{path}: global horizontal radiation is 0 in all rows, and SustainGym divides by its "
            "largest value: take a file with radiation."
        )
    _, longitude, zone = place
    x = y = 0.0
    for n, value in enumerate(radiation):
        angle = 2 * math.pi * (n % 24 + 0.5) / 24  # the middle of the hour that ends then
        x, y = x + value * math.cos(angle), y + value * math.sin(angle)
    noon = math.atan2(y, x) * 24 / (2 * math.pi) % 24
    expected = 12 + zone - longitude / 15
    shift = (noon - expected + 12) % 24 - 12
    if abs(shift) > LARGEST_SHIFT:
        raise ValueError(
            f"{path}: its sun is highest at {_clock(noon)}, and at longitude {longitude:g} in the "
            f"time zone {zone:+g} of its LOCATION noon is at {_clock(expected)}: the rows are not "
            "in local standard time, as EPW has them and as a day of an episode begins. Move the "
            f"rows by {-round(shift):+d} hours, or correct LOCATION."
        )


def _check_nights(path: Path, place: Place, radiation: list[float], rows: list[list[str]]) -> None:
    """No sun in hours in which it is far below the horizon from their beginning to their end."""
    latitude, longitude, zone = place
    north = math.radians(latitude)
    for n, value in enumerate(radiation):
        if value <= LARGEST_NIGHT:
            continue
        day, hour = divmod(n, 24)
        tilt = math.radians(-23.44 * math.cos(2 * math.pi * (day + 10) / 365))
        heights = []
        for part in (hour, hour + 0.5, hour + 1):
            angle = 2 * math.pi * (part - 12 - zone + longitude / 15) / 24
            up = math.sin(north) * math.sin(tilt)
            heights.append(up + math.cos(north) * math.cos(tilt) * math.cos(angle))
        height = math.degrees(math.asin(max(-1.0, min(1.0, max(heights)))))
        if height < DEEP_NIGHT:
            month, date, clock = (rows[n][i].strip() for i in (MONTH, DAY, HOUR))
            raise ValueError(
                f"{path}: row {n + 1} (month {month}, day {date}, hour {clock}), field {GHI + 1}, "
                f"global horizontal radiation = {value:g}, is of an hour in which the sun stays "
                f"{-height:.0f} degrees below the horizon at latitude {latitude:g}: correct it, or "
                "LOCATION, or take another copy."
            )


def _clock(hours: float) -> str:
    minutes = round(60 * (hours % 24)) % (24 * 60)
    return f"{minutes // 60}:{minutes % 60:02d}"
