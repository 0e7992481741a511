"""The table on the screen and the JSON file."""

import sys

from _common.files import write_record
from _common.machine import facts, versions

_RIVALS = "pytorch-widedeep", "grad-cam", "captum"
_COLUMNS = "what", "median (range)", "ratio", "target", "met"


class Report:
    """Rows of figures with their targets."""

    def __init__(self, title, *, quick, **settings):
        self.title = title
        self.quick = quick
        self.settings = settings
        self.rows = []
        self.notes = []

    def add(self, what, figure, unit, *, ratio=None, to="", at_least=None, at_most=None):
        """Add a row."""
        median, *bounds = [None] if figure is None else figure if _is_spread(figure) else [figure]
        judged = ratio if to else median
        target, met = "", None
        of = " x" if to else ""
        if at_least is not None:
            target = f"at least {_text(at_least)}{of}"
            met = None if judged is None or self.quick else judged >= at_least
        elif at_most is not None:
            target = f"at most {_text(at_most)}{of}"
            met = None if judged is None or self.quick else judged <= at_most
        self.rows.append(
            {
                "what": what,
                "median": median,
                "low": bounds[0] if bounds else median,
                "high": bounds[1] if bounds else median,
                "unit": unit,
                "ratio": ratio,
                "ratio to": to,
                "target": target,
                "met": met,
            }
        )

    def note(self, text):
        """Add a sentence below the table."""
        self.notes.append(text)

    def write(self, path):
        """Print the table, and write everything as JSON."""
        machine, packages = facts(), versions(*_RIVALS)
        lines = [f"# {self.title}", ""]
        lines += [_listed(part) for part in (machine, packages, self.settings)]
        lines += ["", _line(_COLUMNS), _line("---" for _ in _COLUMNS)]
        lines += [_line(_cells(row)) for row in self.rows]
        notes = list(self.notes)
        if self.quick:
            notes.append("Quick run: sizes are too small for any of these figures to count.")
        print("\n".join([*lines, "", *notes]), flush=True)
        record = {
            "title": self.title,
            "quick": self.quick,
            "machine": machine,
            "versions": packages,
            "settings": self.settings,
            "rows": self.rows,
            "notes": notes,
        }
        write_record(path, record)
        print(f"written: {path}", file=sys.stderr)


def ratio_of(figures, numerator, denominator):
    """Divide the medians of two candidates."""
    if numerator not in figures or denominator not in figures:
        return None
    return figures[numerator].median / figures[denominator].median


def _is_spread(figure):
    return isinstance(figure, tuple)


def _cells(row):
    figure = "not installed" if row["median"] is None else f"{_text(row['median'])} {row['unit']}"
    if row["low"] != row["high"]:
        figure = (
            f"{_text(row['median'])} ({_text(row['low'])} to {_text(row['high'])}) {row['unit']}"
        )
    ratio = "" if row["ratio"] is None else f"{_text(row['ratio'])} x {row['ratio to']}"
    if not row["target"]:
        met = ""
    elif row["met"] is None:
        met = "not known"
    else:
        met = "yes" if row["met"] else "NO"
    return row["what"], figure.strip(), ratio, row["target"], met


def _text(number):
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _listed(part):
    return "- " + ", ".join(f"{name} {value}" for name, value in part.items())
