"""Who the patients are: values by class, what is missing, and standardized mean differences."""

import numpy as np
import pandas as pd

from ._document import Table, number
from ._masks import FEW, FEWEST, MASKED, masked_levels, masked_parts

_MOST_LEVELS = 20
_MISSING = object()


def table_one(given):
    """Return table one as a Table, and the columns that were left out."""
    cohort = given.cohort
    frame, target = by_patient(cohort)
    classes = np.unique(target)
    masks = [target == label for label in classes]
    lines, left_out = [], []
    for name in shown_columns(cohort, frame):
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            lines += _number_lines(given.text(name), column, masks)
        elif column.nunique() <= _MOST_LEVELS:
            lines += _category_lines(given, given.text(name), column, masks)
        else:
            left_out.append(given.text(name))
    sizes = masked_parts({label: int((target == label).sum()) for label in classes})
    heads = [f"{given.label(label)} (n = {sizes[label]})" for label in classes]
    columns = ["", *heads, f"all (n = {len(target)})", "SMD"]
    caption = (
        "Patients. Numbers: mean (standard deviation), median [quartiles]; others: patients (%). "
        "SMD: standardized mean difference, the largest between two classes."
    )
    return Table("table_one", caption, columns, lines), left_out


def by_patient(cohort):
    """Return one line for each patient, the first known value of each column, and its label.

    A patient with images of several labels has the last of them in their order.
    """
    groups = pd.Series(np.asarray(cohort.groups, dtype=str))
    frame = cohort.data.reset_index(drop=True).groupby(groups.to_numpy()).first()
    target = pd.Series(np.asarray(cohort.target)).groupby(groups.to_numpy()).max()
    return frame, target.to_numpy()


def shown_columns(cohort, frame):
    """Return the columns that table one shows: no files, record numbers, dates, limits of kits."""
    kits = cohort.get("kits") or {}
    limits = {part for kit in kits.values() for part in tuple(kit)[1:] if isinstance(part, str)}
    hidden = {"image", "patient_id", *limits}
    columns = [name for name in frame.columns if name not in hidden]
    return [name for name in columns if not pd.api.types.is_datetime64_any_dtype(frame[name])]


def missing_shares(cohort):
    """Return the share of patients without a value, for each column that has such."""
    frame, _ = by_patient(cohort)
    shares = frame[shown_columns(cohort, frame)].isna().mean()
    return shares[shares > 0]


def _number_lines(name, column, masks):
    values = column.astype(float).replace([np.inf, -np.inf], np.nan)
    parts = [values[mask].dropna() for mask in masks]
    texts = [_summary(part) for part in parts]
    whole = MASKED if FEW in texts else _summary(values.dropna())
    smd = _largest(parts, _smd_of_numbers)
    counts = [int(values[mask].isna().sum()) for mask in masks]
    missing = masked_levels({"missing": counts})["missing"]
    return [[name, *texts, whole, smd], [f"{name}: missing", *missing, ""]]


def _summary(values):
    if len(values) < FEWEST:
        return FEW if len(values) else "none"
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    low, middle, high = (number(value, 1) for value in quartiles)
    return f"{number(values.mean(), 1)} ({number(values.std(), 1)}), {middle} [{low}, {high}]"


def _smd_of_numbers(one, other):
    spread = np.sqrt((one.var() + other.var()) / 2)
    return abs(one.mean() - other.mean()) / spread if spread > 0 else np.nan


def _category_lines(given, name, column, masks):
    column = column.astype(object).where(column.notna(), _MISSING)
    levels = sorted((level for level in column.unique() if level is not _MISSING), key=str)
    counts = {
        level: [int((column[mask] == level).sum()) for mask in masks]
        for level in [*levels, _MISSING]
    }
    sizes = [int(mask.sum()) for mask in masks]
    sizes.append(sum(sizes))
    shown = masked_levels(counts)
    parts = [np.array([counts[level][place] for level in levels]) for place in range(len(masks))]
    smd = _largest(parts, _smd_of_shares)
    lines = []
    for level in [*levels, _MISSING]:
        called = "missing" if level is _MISSING else given.text(level)
        cells = [
            f"{text} ({100 * int(text) / size:.0f} %)" if text.isdigit() and size else text
            for text, size in zip(shown[level], sizes, strict=True)
        ]
        lines.append([f"{name}: {called}", *cells, smd])
        smd = ""
    return lines


def _smd_of_shares(one, other):
    """Return the Mahalanobis distance of two shares of levels (Yang, Dalton 2012)."""
    one, other = one[:-1] / one.sum(), other[:-1] / other.sum()
    spread = sum(np.diag(share) - np.outer(share, share) for share in (one, other)) / 2
    gap = one - other
    return np.sqrt(max(gap @ np.linalg.pinv(spread) @ gap, 0.0)) if len(gap) else 0.0


def _largest(parts, distance):
    """Return the largest distance of two classes as text; none of a class with few patients."""
    sizes = [part.sum() if isinstance(part, np.ndarray) else len(part) for part in parts]
    if min(sizes) < FEWEST:
        return MASKED
    pairs = [(a, b) for place, a in enumerate(parts) for b in parts[place + 1 :]]
    found = [distance(a, b) for a, b in pairs]
    return number(np.max(found), 2) if np.isfinite(found).all() else "not defined"
