"""What is shown of a sample beside its heatmap: pixels, clinical values, what the model says."""

import contextlib
import math
import re
from numbers import Number

import numpy as np
import pandas as pd

from ..model_selection import PATIENT_COLUMN
from ..preprocessing import KitRangeScaler
from ._fitted import is_made_by, label_names, target_codes

# Paths, file names, and numbers of three digits or more, such as a record number or a date.
_NAMES_SOMETHING = re.compile(r"[/\\]|\.[A-Za-z]\w{1,4}$|\d{3}")

# More do not fit into a figure.
MAX_IMAGES = 40


def read_images(fitted, X):
    """List the pixels that the network sees, (height, width) or (height, width, 3), uint8."""
    images = []
    batches = fitted.classifier.input_batches(fitted.transform(X), pixels=True)
    with contextlib.closing(batches):
        for inputs, rows in batches:
            pixels = inputs["image"][: len(rows)].cpu().numpy()
            images += [
                image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in pixels
            ]
    return images


def describe_samples(fitted, X, y, target, display_labels):
    """Collect what `GradCAMDisplay` knows of each row: its parameter `samples`."""
    classes = fitted.classifier.classes_
    names = label_names(display_labels, classes)
    table = fitted.transform(X)
    probabilities = fitted.classifier.predict_proba(table)
    predicted = probabilities.argmax(axis=1)
    codes = target_codes(target, classes, len(table))
    codes = predicted if codes is None else codes
    columns = {
        "target": names[codes],
        "probability": probabilities[np.arange(len(table)), codes],
        "predicted": names[predicted],
        "clinical": describe_clinical(fitted, X, table),
    }
    if y is not None:
        columns["label"] = names[target_codes(np.asarray(y), classes, len(table), name="y")]
    return pd.DataFrame(columns, index=X.index)


def describe_clinical(fitted, X, table):
    """List each row's clinical values in words, as a user gave them where that is known."""
    inputs = fitted.input_columns(X, table)
    if inputs is None:
        inputs, X = {name: (None, [name]) for name in fitted.clinical_names}, table
    inputs = {
        name: (transformer, [column for column in columns if not is_record(column)])
        for name, (transformer, columns) in inputs.items()
    }
    inputs = {name: described for name, described in inputs.items() if described[1]}
    return [
        [_describe(name, *described, row) for name, described in inputs.items()]
        for _, row in X.iterrows()
    ]


def _describe(name, transformer, columns, row):
    name, values = shorten(name), [_format(row[column]) for column in columns]
    if len(values) == 3 and is_made_by(transformer, KitRangeScaler):
        return f"{name} {values[0]} ({values[1]} to {values[2]})"
    return f"{name} {' '.join(values)}"


def is_record(column):
    """Return whether a column holds record numbers, by its name; a prefix does not matter."""
    return str(column).rpartition("__")[2].strip().casefold() == PATIENT_COLUMN


def _is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _format(value):
    if pd.isna(value):
        return "missing"
    if isinstance(value, Number | np.bool_):
        return f"{value:.6g}" if isinstance(value, float) else shorten(value, 20)
    if isinstance(value, str) and (_is_number(value) or not _NAMES_SOMETHING.search(value)):
        return shorten(value, 20)
    # What a figure must not show: figures are passed on.
    return "(text)"


def shorten(text, n_characters=40):
    """Write a name on one line, and cut it where it is too long for a figure."""
    text = " ".join(str(text).split())
    return text if len(text) <= n_characters else text[: n_characters - 1] + "…"
