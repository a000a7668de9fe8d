"""A year of hours out of a leap year or of quarters: python hourly_year.py FILE.epw NEW.epw."""

import sys
from itertools import groupby
from pathlib import Path

TEMPERATURE, RADIATION = 6, 13  # columns, and what a missing value is in each: 99.9 and 9999
if len(sys.argv) != 3:
    sys.exit(__doc__)
old, new = map(Path, sys.argv[1:])
if not old.is_file():
    sys.exit(f"{old}: there is no such file")
lines = old.read_text(encoding="latin-1").splitlines()
header, rows = lines[:8], [line.split(",") for line in lines[8:] if line.strip()]
for number, row in enumerate(rows, 9):
    if len(row) <= RADIATION:
        sys.exit(f"{old}: line {number} is cut")
    if float(row[TEMPERATURE]) >= 99.9 or float(row[RADIATION]) >= 9999:
        sys.exit(f"{old}: line {number} has no temperature (99.9) or no radiation (9999)")
hours = []
for (month, day, _), records in groupby(rows, key=lambda row: row[1:4]):
    if (int(month), int(day)) == (2, 29):
        continue
    records = list(records)
    last = list(records[-1])  # temperatures are those of the end of an hour
    last[RADIATION] = f"{sum(float(row[RADIATION]) for row in records) / len(records):.1f}"
    hours.append(",".join(last))
if len(hours) != 8760:
    sys.exit(f"{old}: {len(hours)} hours, and a year without 29 February has 8760")
periods = header[7].split(",")
periods[2] = "1"  # record per hour
new.write_text("\n".join([*header[:7], ",".join(periods), *hours]) + "\n", encoding="latin-1")
