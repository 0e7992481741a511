"""What may be a shortcut in a table: files, images, gaps, numbers of images, and kept columns."""

import numpy as np
import pandas as pd

from .._utils.cells import is_missing
from .._utils.kept_columns import KEPT
from .._utils.progress import progress_bar
from .._utils.validation import check_parameter, did_you_mean
from ..images import ImageFacts, read_facts

_MOST_CODES = 30
_OF_FILES = ["file size", "width", "height", "aspect", "mode", "format"]


def shortcut_columns(frame, patients, columns, image_column, outcomes):
    """Return what may be a shortcut, by name: a list of columns, with one cell for each row."""
    candidates = {}
    if image_column is not None:
        facts = _facts_of(frame[image_column])
        candidates["file facts"] = [facts[name] for name in _OF_FILES]
        candidates |= {name: [facts[name]] for name in _OF_FILES}
        candidates["brightness"] = [facts["brightness"], facts["contrast"]]
        candidates["border"] = [facts["border"], facts["border_contrast"]]
        there = ~pd.isna(frame[image_column].to_numpy())
        numbers = np.bincount(patients[there], minlength=patients.max() + 1)[patients]
    else:
        numbers = np.bincount(patients)[patients]
    candidates["number of images"] = [pd.Series(numbers, name="number of images")]
    gaps = [name for name in frame.columns if name not in outcomes and frame[name].isna().any()]
    missing = [frame[name].isna().rename(f"missing: {name}") for name in gaps]
    if len(missing) > 1:
        candidates["missingness"] = missing
    candidates |= {indicator.name: [indicator] for indicator in missing}
    for name in columns:
        if str(name) in candidates:
            raise ValueError(
                f"column {name!r} has the name of what is asked anyway; give it another: "
                f"frame.rename(columns={{{name!r}: 'own {name}'}})"
            )
        candidates[str(name)] = [frame[name], *_as_codes(frame[name])]
    return candidates


def _as_codes(cells):
    """Return a column of few whole numbers as categories, too: numbers of sites have no order."""
    if not pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
        return []
    numbers = cells.dropna().unique()
    if not 2 < len(numbers) <= _MOST_CODES or not np.equal(np.mod(numbers, 1), 0).all():
        return []
    return [cells.rename(f"{cells.name} as codes").astype("category")]


def columns_to_audit(frame, columns, image_column, outcomes):
    """Return the names of the kept columns to audit; ValueError for one that is not there."""
    if columns is None:
        kept = [name for name in frame.attrs.get(KEPT, ()) if name in frame.columns]
        return [name for name in kept if name not in outcomes]
    valid = isinstance(columns, list | tuple)
    check_parameter("columns", columns, valid, "a list of columns of frame, or None")
    for name in columns:
        check_column(frame, name, "columns")
        if name == image_column:
            raise ValueError(
                f"columns={columns!r} is not allowed; {name!r} holds the paths of the images, "
                "which are opened: leave it out"
            )
    return list(dict.fromkeys(columns))


def check_column(frame, name, parameter):
    """Raise ValueError unless a frame has a column, naming the nearest one."""
    if name not in frame.columns:
        hint = did_you_mean(name, list(frame.columns))
        raise ValueError(
            f"{parameter} names {name!r}, which is no column of frame; the columns are "
            f"{list(frame.columns)}{hint and '; '}{hint}"
        )


def _facts_of(paths):
    """Return the facts of image files as columns, NaN where a row has none; each is read once."""
    codes, files = pd.factorize(paths.mask([is_missing(path, frozenset()) for path in paths]))
    first = np.full(len(files), -1)
    first[codes[::-1][codes[::-1] >= 0]] = np.flatnonzero(codes[::-1] >= 0)
    first = len(codes) - 1 - first
    bar = progress_bar(files, shown=None, desc="reading", unit="image")
    found = [read_facts(file, row=int(row)) for file, row in zip(bar, first, strict=True)]
    facts = pd.DataFrame(found, columns=list(ImageFacts._fields))
    for name in ("mode", "format"):
        facts[name] = facts[name].astype("category")
    facts = facts.rename(columns={"n_bytes": "file size"})
    facts["aspect"] = facts["width"] / facts["height"]
    return facts.reindex(codes).reset_index(drop=True)


def time_table(frame, times):
    """Return what was measured after the outcome, one line for each entry of `times`."""
    lines = []
    for what, (measured, outcome) in times.items():
        end = frame[outcome]
        start = pd.Series(0.0, index=frame.index) if measured is None else frame[measured]
        known = start.notna() & end.notna()
        after, same = (start > end) & known, (start == end) & known
        n_known = int(known.sum())
        share = float(after.sum() / n_known) if n_known else np.nan
        lines.append((what, n_known, int(after.sum()), int(same.sum()), share))
    names = ["what", "n_known", "n_after", "n_same", "share_after"]
    return pd.DataFrame(lines, columns=names)


def check_times(frame, times):
    """Return the columns of outcomes in `times`; ValueError for what cannot be compared."""
    allowed = (
        "a dict of what was measured to (column of its time, column of the outcome's time), "
        "with None for a time that is 0, or None"
    )
    check_parameter("times", times, times is None or isinstance(times, dict), allowed)
    outcomes = []
    for what, pair in (times or {}).items():
        shown = f"times[{what!r}]"
        valid = isinstance(pair, tuple | list) and len(pair) == 2 and pair[1] is not None
        check_parameter(shown, pair, valid, "(column or None, column)")
        kinds = ["n" if name is None else _kind_of(frame, name, shown) for name in pair]
        if kinds[0] != kinds[1] or kinds[0] == "?":
            raise ValueError(
                f"{shown}={pair!r} is not allowed; allowed: two columns of dates, or two of "
                "numbers; declare them with KeptColumn(..., kind='date') or kind='number'"
            )
        outcomes.append(pair[1])
    return outcomes


def _kind_of(frame, name, shown):
    check_column(frame, name, shown)
    if pd.api.types.is_datetime64_any_dtype(frame[name]):
        return "d"
    return "n" if pd.api.types.is_numeric_dtype(frame[name]) else "?"
