"""A year of hours out of a leap year or of quarters: python hourly_year.py FILE.epw NEW.epw."""

import sys

old, new = sys.argv[1:]
with open(old) as file:
    lines = file.read().splitlines()
header, rows = lines[:8], [line.split(",") for line in lines[8:]]
periods = header[7].split(",")
per_hour, periods[2] = int(periods[2]), "1"
header[7] = ",".join(periods)
rows = [row for row in rows if row[1:3] != ["2", "29"]]
hours = []
for i in range(0, len(rows), per_hour):
    hour = rows[i : i + per_hour]
    last = list(hour[-1])  # temperatures are those of the end of an hour
    last[13] = f"{sum(float(row[13]) for row in hour) / per_hour:.1f}"  # radiation is its mean
    hours.append(",".join(last))
with open(new, "w") as file:
    file.write("\n".join([*header, *hours]) + "\n")
