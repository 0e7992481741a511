"""Measure how long a cohort's tables take to load, and how much memory they need.

One table has a row an image, with clinical values, three images a patient; its time must grow as
its rows do. The other is a file of many short rows.
"""

import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _bench import children, options, report, timing

from skosfusion.datasets import load_cohort


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_tables", __doc__, repeats=3)
    parser.add_argument("--rows", type=int, default=60_000, help="rows of the longer table")
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(_peak(**json.loads(chosen.child))))
        return
    if chosen.quick:
        chosen.rows, chosen.repeats = 400, 1
    n_rows = chosen.rows
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in range(100):
            (folder / f"{name}.png").touch()
        tables = {n: make_table(n) for n in (n_rows // 4, n_rows)}
        path = folder / "table.csv"
        tables[n_rows].to_csv(path, index=False)
        figures = timing.interleave(
            {n: _timed(table, folder) for n, table in tables.items()}
            | {"file": _timed(path, folder)},
            chosen.repeats,
        )
        short = folder / "short.csv"
        short.write_text("image,patient_id,diagnosis\n" + "0.png,1,x\n" * (50 * n_rows))
        peaks = [
            children.run_child(__file__, {"path": str(path)})[0] for path in (folder / "no", short)
        ]

    table = report.Report(
        "How long do the tables of a cohort take to load?",
        quick=chosen.quick,
        rows=n_rows,
        repeats=chosen.repeats,
    )
    fewer, more = tables
    table.add(f"DataFrame, {fewer} rows", figures[fewer], "s")
    ratio = report.ratio_of(figures, more, fewer)
    table.add(f"DataFrame, {more} rows", figures[more], "s", at_most=10)
    table.add("four times the rows, in", ratio, "times the time", at_most=5)
    table.add(f"CSV, {more} rows", figures["file"], "s", at_most=10)
    size = 10 * 50 * n_rows / 2**20
    grown = (peaks[1] - peaks[0]) / size
    table.add(f"CSV of {size:.0f} MiB in short rows: memory", grown, "times its size", at_most=20)
    table.write(chosen.out)


def make_table(n_rows):
    """Make a table of images with clinical values, three images a patient."""
    rng = np.random.default_rng(0)
    rows = np.arange(n_rows)
    return pd.DataFrame(
        {
            "image": [f"{row % 100}.png" for row in rows],
            "patient_id": [str(row // 3) for row in rows],
            "gender": np.where(rows // 3 % 2, "F", "M"),
            "age": rng.integers(1, 90, n_rows),
            "alp": rng.uniform(30, 300, n_rows).round(1),
            "alp_low": 40.0,
            "alp_high": 130.0,
            "diagnosis": np.where(rows // 3 % 3, "knee injury", "osteosarcoma"),
        }
    )


def _timed(table, folder):
    return lambda: timing.seconds(lambda: load_cohort(table, image_folder=folder))


def _peak(path):
    """Return the peak memory of a process that loads this table, in MiB; of none if it is not."""
    if Path(path).exists():
        load_cohort(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
