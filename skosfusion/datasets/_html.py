"""A cohort as HTML for notebooks: counts, distributions and some images in small."""

import base64
import io
import time

import numpy as np
import pandas as pd
from PIL import Image

from .._utils.html import document, heading, histogram, number, paragraphs, picture, table
from ..images import open_image

_N_PICTURES = 6
_SIDE = 112
_MOST_PIXELS = 2**25
_SECONDS = 3.0
_MOST_INPUTS = 40
_MOST_NAMES = 6
_OURS = ("image", "patient_id")


def cohort_html(cohort):
    """Return a cohort as HTML; it names no patient and no file."""
    data = cohort["data"]
    codes, names = _labels(cohort)
    patients = cohort.get("groups")
    counts = f"{len(data)} rows"
    if patients is not None:
        counts += f" of {len(pd.unique(np.asarray(patients)))} patients"
    description = str(cohort.get("DESCR", ""))
    is_synthetic = "synthetic" in description[:400].casefold()
    parts = [heading(f"Cohort: {counts}" + ", synthetic" * is_synthetic)]
    if codes is not None:
        parts.append(_table_of_labels(codes, names, patients))
    parts.append(_table_of_inputs(data, cohort.get("kits"), patients))
    kept = cohort.get("kept")
    if kept is not None and len(kept.columns):
        parts.append(paragraphs("Kept beside the inputs: " + ", ".join(map(str, kept.columns))))
    flow = cohort.get("flow")
    if flow is not None and len(flow) > 2:
        columns = ["reason", "n_images", "n_patients"]
        lines = flow[columns].astype(object).where(flow[columns].notna(), "n/a")
        parts.append(table("From table to cohort", ["", "images", "patients"], lines.to_numpy()))
    if "image" in data.columns:
        parts += _pictures(data["image"], codes, names)
    return document(parts)


def _labels(cohort):
    """Return the code of each row's label, None where there are none, and the names."""
    target = cohort.get("target")
    if target is None:
        return None, []
    labels, codes = np.unique(np.asarray(target), return_inverse=True)
    names = cohort.get("target_names")
    return codes, list(labels if names is None or len(names) != len(labels) else names)


def _table_of_labels(codes, names, patients):
    lines = []
    for code, name in enumerate(names):
        here = codes == code
        line = [name, int(here.sum())]
        if patients is not None:
            line.append(len(pd.unique(np.asarray(patients)[here])))
        lines.append(line)
    return table("Labels", ["label", "rows", "patients"][: 2 + (patients is not None)], lines)


def _table_of_inputs(data, kits, patients):
    limits = {
        column for kit in (kits or {}).values() for column in kit[1:] if isinstance(column, str)
    }
    columns = [column for column in data.columns if column not in limits | set(_OURS)]
    patients = np.arange(len(data)) if patients is None else np.asarray(patients)
    lines = [_input_line(column, data[column], patients) for column in columns[:_MOST_INPUTS]]
    if len(columns) > _MOST_INPUTS:
        lines.append([f"… and {len(columns) - _MOST_INPUTS} more", "", "", ""])
    return table("Inputs", ["input", "missing", "median (5 % to 95 %), or categories", ""], lines)


def _input_line(name, cells, patients):
    """Return what a column holds: name, missing cells, summary and drawing."""
    n_missing = int(cells.isna().sum())
    missing = f"{n_missing} ({n_missing / max(len(cells), 1):.0%})" if n_missing else "0"
    if pd.api.types.is_bool_dtype(cells.dtype) or not pd.api.types.is_numeric_dtype(cells.dtype):
        shown = _categories(cells.dropna().astype(str), patients[cells.notna()])
        return [name, missing, shown, ""]
    values = cells.to_numpy(dtype=float, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not len(values):
        return [name, missing, "n/a", ""]
    with np.errstate(over="ignore", invalid="ignore"):
        low, median, high = (number(value) for value in np.quantile(values, [0.05, 0.5, 0.95]))
    return [name, missing, f"{median} ({low} to {high})", histogram(values)]


def _categories(cells, patients):
    """Return the most frequent texts; only how many there are if most are of one patient alone."""
    counts = cells.value_counts()
    n_patients = pd.Series(patients, cells.index).groupby(cells.to_numpy()).nunique()
    if len(counts) > _MOST_NAMES and (n_patients == 1).mean() > 0.5:
        # They may be names or numbers of persons.
        return f"{len(counts)} different texts"
    shown = ", ".join(f"{name[:40]}: {count}" for name, count in counts[:_MOST_NAMES].items())
    more = len(counts) - _MOST_NAMES
    return shown + (f" and {more} more" if more > 0 else "")


def _pictures(paths, codes, names):
    """Return some images in small, of each label where there are several."""
    rows = _rows_to_show(len(paths), codes)
    shown, end = [], time.monotonic() + _SECONDS
    for row in rows:
        uri = _thumbnail(paths.iloc[row]) if time.monotonic() < end else None
        shown.append(picture(uri, f"row {row}" if codes is None else names[codes[row]]))
    return shown


def _rows_to_show(n_rows, codes):
    """Spread what is shown over the rows of each label."""
    labels = np.zeros(n_rows, int) if codes is None else codes
    n_labels = min(len(np.unique(labels)), _N_PICTURES)
    rows = []
    for label in range(n_labels):
        here = np.flatnonzero(labels == label)
        n_here = min(_N_PICTURES // n_labels, len(here))
        rows += here[np.linspace(0, len(here) - 1, n_here).astype(int)].tolist()
    return rows


def _thumbnail(path):
    """Return an image in small as a data URI, without what its file says; None if there is none."""
    try:
        image = open_image(path, max_pixels=_MOST_PIXELS)
        is_dark = image.info.get("white_is_zero", False)
        if image.mode not in ("L", "RGB"):
            image = _eight_bits(image, is_dark)
        image.thumbnail((_SIDE, _SIDE))
        content = io.BytesIO()
        # Of the pixels alone: what a scanner wrote beside them may name the patient.
        Image.fromarray(np.asarray(image)).save(content, "JPEG", quality=75)
    except Exception:  # noqa: BLE001 - an image that cannot be shown is shown as a box
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _eight_bits(image, is_dark):
    """Return an image in 8 bits, gray or in color."""
    if not image.mode.startswith(("I", "F")):
        return image.convert("L" if image.mode in ("1", "LA") else "RGB")
    values = np.asarray(image, float)
    values = (values - np.nanmin(values)) / max(np.nanmax(values) - np.nanmin(values), 1e-12)
    return Image.fromarray(np.uint8(255 * (1 - values if is_dark else values)))
