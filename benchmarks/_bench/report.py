"""The table on the screen and the JSON file."""

import json
import sys

from .machine import facts, versions

_COLUMNS = "what", "median (range)", "ratio", "target", "met"


class Report:
    """Rows of figures with their targets.

    Parameters
    ----------
    title : str
        The question that the benchmark answers.
    quick : bool
        Whether sizes were tiny, so that the figures mean nothing.
    **settings
        What was run: sizes, numbers, never a path.
    """

    def __init__(self, title, *, quick, **settings):
        self.title = title
        self.quick = quick
        self.settings = settings
        self.rows = []
        self.notes = []

    def add(self, what, figure, unit, *, ratio=None, to="", at_least=None, at_most=None):
        """Add a row.

        Parameters
        ----------
        what : str
            What was measured.
        figure : Spread, float or None
            The figure; None where a rival is not installed.
        unit : str
            Its unit.
        ratio : float or None, default=None
            Figure relative to something.
        to : str, default=""
            What the ratio refers to; without it the target is for the figure.
        at_least : float or None, default=None
            Target of the ratio or the figure.
        at_most : float or None, default=None
            Target of the ratio or the figure.
        """
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
        """Print the table, and write everything as JSON.

        Parameters
        ----------
        path : pathlib.Path
            The JSON file.
        """
        machine, packages = facts(), versions()
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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"written: {path}", file=sys.stderr)


def ratio_of(figures, numerator, denominator):
    """Divide the medians of two candidates.

    Parameters
    ----------
    figures : dict of str to Spread
        What was measured.
    numerator : str
        One candidate.
    denominator : str
        The other.

    Returns
    -------
    float or None
        The ratio; None if one of them was not measured.
    """
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
