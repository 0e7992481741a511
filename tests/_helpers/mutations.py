"""Damage to bytes and tables, for tests that throw anything at what reads untrusted files."""

import datetime
import decimal
import fractions
import struct

import numpy as np
import pandas as pd
from hypothesis import strategies as st

TOKENS = [b"\0", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3("]
TOKENS += [b"1e400", b"-1", b"NaN", b"inf", b"9" * 400, b"../", b"=1+1", b",," * 50, b'"\n"']

EDIT = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(["replace", "flip", "number", "delete", "insert", "token"]),
    st.integers(0, 255),
)
"""Where in the file, what to do there, and with which value."""


def mutated(data, edits, length=1.0):
    """Return bytes after some edits, cut to a share of their length."""
    data = bytearray(data)
    for where, action, value in edits:
        position = int(where * len(data))
        if action == "replace":
            data[position] = value
        elif action == "flip":
            data[position] ^= 1 << value % 8
        elif action == "number":
            data[position : position + 4] = struct.pack("<i", value - 128)
        elif action == "delete":
            del data[position : position + value]
        elif action == "insert":
            data[position:position] = bytes([value] * 3)
        else:
            data[position:position] = TOKENS[value % len(TOKENS)]
        data = data or bytearray(b"\0")
    return bytes(data[: int(length * len(data)) + 1])


ODD_CELLS = [None, np.nan, pd.NA, pd.NaT, True, np.False_, 0, -0.0, -1, 10**400, 2**63, np.inf]
ODD_CELLS += [1e39, 5e-324, 1e308, 1j, b"1", "", " ", "NA", "3,5", "six", "1e400", "\0", "\udcff"]
ODD_CELLS += [decimal.Decimal("sNaN"), decimal.Decimal("1e999"), fractions.Fraction(1, 3), [1], {}]
ODD_CELLS += [datetime.date(2020, 1, 1), pd.Timestamp("2020"), pd.Timedelta(1), pd.Period("2020")]
ODD_CELLS += [np.array([1, 2]), np.datetime64("NaT"), pd.Interval(0, 1), (1, 2), {1}, object, "F"]
ODD_CELLS += [np.float16("inf"), np.longdouble(1), np.str_("M"), np.bytes_(b"F"), "x" * 10_000]
ODD_CELLS += ["../a.png", "a/../../b.png", "/etc/passwd", "~", ".", "a.png/", "a" * 5000, "a.png"]

ODD_DTYPES = ["object", "category", "Int64", "boolean", "Float32", "string", "complex128", "bool"]
ODD_DTYPES += ["Sparse[float64]", "datetime64[ns]", "timedelta64[ns]", "float16", "uint64", "str"]


def object_column(cells):
    """Return cells of any kind, collections too, as a column of objects."""
    values = np.empty(len(cells), dtype=object)
    for position, cell in enumerate(cells):
        values[position] = cell
    return pd.Series(values, dtype=object)


@st.composite
def spoilt_frames(draw, frame):
    """Draw tables that differ from `frame` in some cells, columns, dtypes, rows or names."""
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["cell", "column", "dtype", "drop", "twice", "rename", "rows", "index", "order"]
        kind = draw(st.sampled_from(kinds))
        if frame.empty or frame.columns.has_duplicates:
            break
        column = draw(st.sampled_from(frame.columns.tolist()))
        cells = frame[column].tolist()
        if kind == "cell":
            cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(ODD_CELLS))
            frame = frame.assign(**{column: object_column(cells).set_axis(frame.index)})
        elif kind == "column":
            odd = [draw(st.sampled_from(ODD_CELLS))] * len(frame)
            frame = frame.assign(**{column: object_column(odd).set_axis(frame.index)})
        elif kind == "dtype":
            frame = _cast(frame, column, draw(st.sampled_from(ODD_DTYPES)))
        elif kind == "drop":
            frame = frame.drop(columns=column)
        elif kind == "twice":
            frame = pd.concat([frame, frame[[column]]], axis=1)
        elif kind == "rename":
            odd_names = st.sampled_from([3, None, ("a", "b"), "", "Image ", np.str_("age")])
            frame = frame.rename(columns={column: draw(odd_names)})
            break
        elif kind == "rows":
            frame = frame.iloc[draw(st.lists(st.sampled_from(range(len(frame))), max_size=5))]
        elif kind == "index":
            frame = frame.set_axis(draw(st.sampled_from([[7] * len(frame), range(len(frame))])))
        else:
            frame = frame[draw(st.permutations(list(frame.columns)))]
    return frame


def _cast(frame, column, dtype):
    try:
        return frame.astype({column: dtype})
    except Exception:  # noqa: BLE001 - pandas raises this and that where a cast is impossible
        return frame
