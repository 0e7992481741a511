"""What is known of how a table was read from its file; it travels in `DataFrame.attrs`."""

import os
from dataclasses import asdict, dataclass, field, fields

READ = "skosfusion: read"
"""Where a table from `read_table` keeps how it was read (`DataFrame.attrs`)."""

FLOW = "skosfusion: flow of exclusions"
"""Where a table keeps what has been left out of it (`DataFrame.attrs`), see `_flow.py`."""


@dataclass(frozen=True)
class Reading:
    """How a table was read; of texts, lists of these and None, so that attrs can be written."""

    name: str  # of the file, with its sheet where it has several
    path: str
    said: str  # what was sniffed, in words
    decimal: str | None = None  # sign of all numbers in text, where the user has said it
    decimals: dict = field(default_factory=dict)  # {column: sign}, where it was found out
    has_signs: bool = False  # whether a comma in a number may be a decimal sign
    date_columns: tuple = ()  # columns of a sheet in which there are cells of dates
    notes: tuple = ()  # what the user is warned of

    @property
    def sentence(self):
        """Return what is said of it in `DESCR` and in the log."""
        return f"{self.name}: {self.said}"

    def keep_in(self, frame):
        """Note it in a frame."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        frame.attrs = frame.attrs | {READ: values}
        return frame


def reading_of(frame):
    """Return how a DataFrame was read; None where it is not known."""
    values = frame.attrs.get(READ)
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(Reading)}:
        return None
    return Reading(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def folder_of_frame(frame):
    """Return the folder of the file that a DataFrame was read from; None where not known."""
    reading = reading_of(frame)
    return None if reading is None else os.path.dirname(reading.path)


def flow_of_file(n_rows, n_empty):
    """Return the first steps of a file with lines of nothing, or of nothing but separators."""
    counts = {"n_patients": None, "excluded_patients": None, "excluded_records": 0}
    return [
        {"step": "table", "reason": "lines of the file", "n_images": n_rows + n_empty}
        | {"excluded_images": 0, **counts, "excluded_patients": 0},
        {"step": "table", "reason": "lines without any value", "n_images": n_rows}
        | {"excluded_images": n_empty, **counts},
    ]
