"""CSV and Parquet tables, sound and mutated."""

import datetime
import decimal
import io
import os

import numpy as np
import pandas as pd

from skosfusion import make_clinical_transformer
from skosfusion.datasets import TargetColumn, load_cohort
from skosfusion.exceptions import ImageError

from .mutations import mutate

_N_ROWS = 8
_TEXTS = ["", " ", "NA", "nan", "inf", "-inf", "1e999", "-0", "1_000", "0x10", "1,5", "٣", "½", "F"]
_TEXTS += [
    "female",
    "\x00",
    "\ud800",
    "'",
    '"',
    "\n",
    "=1+1",
    "../a.png",
    "/etc/passwd",
    "a" * 4000,
]
_TEXTS += [
    "9" * 400,
    "1e-400",
    "True",
    "2020-01-01",
    "[1]",
    "\ufeff",
    "image",
    "\u202e1",
    "-5",
    "130",
]
_VALUES = [None, np.nan, np.inf, -np.inf, 10**30, -1, 1e308, True, b"bytes", [1, 2], {"a": 1}, ()]
_VALUES += [decimal.Decimal("1.5"), datetime.datetime(2020, 1, 1), datetime.timedelta(1)]
_VALUES += [datetime.date(2020, 1, 1), "text", "1.5", 2**63, np.float32(3), "F", np.int8(1)]
_TYPES = ["Int64", "Float64", "boolean", "string", "category", "datetime64[ns]", "float16", "int8"]


def make_images(folder):
    """Put empty files where the tables say that images are; they are not opened here."""
    for number in range(_N_ROWS):
        open(os.path.join(folder, f"{number}.png"), "wb").close()


def _table():
    return pd.DataFrame(
        {
            "image": [f"{number}.png" for number in range(_N_ROWS)],
            "patient_id": [f"p{number // 2}" for number in range(_N_ROWS)],
            "gender": ["F", "M"] * (_N_ROWS // 2),
            "age": [14.0, 30.0, 55.0, 8.0, 71.0, 20.0, np.nan, 33.0],
            "alp": np.linspace(50, 300, _N_ROWS),
            "alp_low": 40.0,
            "alp_high": 130.0,
            "ldh": np.linspace(100, 400, _N_ROWS),
            "ldh_low": 120.0,
            "ldh_high": 250.0,
            "diagnosis": [0, 0, 1, 1, 0, 0, 1, 1],
        }
    )


def _parquet(table):
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


_CSV = _table().to_csv(index=False).encode()
_PARQUET = _parquet(_table())


def make_csv(random):
    """Draw a damaged or hostile CSV table; name and content."""
    if random.random() < 0.5:
        return "table.csv", mutate(_CSV, random, [_CSV, _PARQUET])
    rows = [line.split(",") for line in _CSV.decode().splitlines()]
    for _ in range(random.integers(1, 5)):
        row = int(random.integers(len(rows)))
        deed = random.integers(6)
        if deed < 3 and rows[row]:
            rows[row][random.integers(len(rows[row]))] = _TEXTS[random.integers(len(_TEXTS))]
        elif deed == 3:
            rows.insert(row, list(rows[random.integers(len(rows))]))
        elif deed == 4 and len(rows) > 1:
            del rows[row]
        else:
            column, text = int(random.integers(8)), _TEXTS[random.integers(len(_TEXTS))]
            for cells in rows[1:]:
                if len(cells) > column:
                    cells[column] = text
    lines = ["\r\n", "\n", "\r"][random.integers(3)].join(",".join(cells) for cells in rows)
    coding = ["utf-8", "utf-8", "utf-16", "latin-1", "utf-8-sig"][random.integers(5)]
    return "table.csv", lines.encode(coding, "surrogatepass" if "utf" in coding else "replace")


def make_parquet(random):
    """Draw a damaged or hostile Parquet table; name and content."""
    if random.random() < 0.5:
        return "table.parquet", mutate(_PARQUET, random, [_CSV, _PARQUET])
    table = _table()
    for _ in range(random.integers(1, 4)):
        column = table.columns[random.integers(len(table.columns))]
        deed = random.integers(5)
        try:
            if deed == 0:
                value = _VALUES[random.integers(len(_VALUES))]
                table[column] = pd.Series([value] * len(table), dtype=object)
            elif deed == 1:
                cells = list(table[column])
                cells[random.integers(len(cells))] = _VALUES[random.integers(len(_VALUES))]
                table[column] = pd.Series(cells, dtype=object)
            elif deed == 2:
                table[column] = table[column].astype(_TYPES[random.integers(len(_TYPES))])
            elif deed == 3 and len(table.columns) > 1:
                table = table.drop(columns=column)
            else:
                table = table.iloc[
                    random.permutation(len(table))[: random.integers(len(table) + 1)]
                ]
            content = _parquet(table)
        except Exception:  # noqa: BLE001 - what cannot be written is of no use here
            return "table.parquet", mutate(_PARQUET, random)
    return "table.parquet", content


def use(path, random):
    """Load the table and normalize it, as a user might."""
    target = TargetColumn(positive="1" if random.random() < 0.3 else None)
    cohort = load_cohort(path, columns={"target": target})
    transformer = make_clinical_transformer(
        gender="gender" if "gender" in cohort.data else None,
        age="age" if "age" in cohort.data else None,
        kits=cohort.kits,
        missing=["impute", "indicator"][random.integers(2)],
    )
    result = transformer.fit_transform(cohort.data).drop(columns="image")
    if len(result) != len(cohort.target) or not np.isfinite(result.to_numpy(np.float64)).all():
        raise AssertionError("normalized values that are not finite, or not one row for each image")


#: Errors that are documented for a table that is there.
ERRORS = (ValueError, TypeError, FileNotFoundError, ImageError)
#: Warnings that are documented: a column that looks like another unit.
WARNINGS = (UserWarning,)
