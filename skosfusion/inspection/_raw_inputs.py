"""Clinical columns as a user gives them, read as the steps of the pipeline read them."""

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, is_number_text, whole_text
from .._utils.notation import Notation
from .._utils.number_columns import read_numbers
from ..preprocessing import (
    AgeScaler,
    CategoryEncoder,
    GenderEncoder,
    KitRangeScaler,
    NumberReader,
)
from ._fitted import is_made_by
from ._samples import is_record

NUMBER, CATEGORY = "number", "category"
_READERS = (AgeScaler, KitRangeScaler, NumberReader)
_GENDERS = {0.5: "female", -0.5: "male"}


def read_inputs(inputs, X, kinds=None):
    """Map each column to its kind and values: float64, or texts with None where missing.

    `inputs` is that of `FusionModel.inputs_beside`; `kinds` are those of the training set.
    """
    read = {}
    for transformer, columns in inputs.values():
        for column in columns:
            if column in read or is_record(column):
                continue
            kind = None if kinds is None else kinds.get(column)
            read[column] = _read(transformer, X[column], columns.index(column), kind)
    return read


def _read(transformer, cells, place, kind):
    encoder = _step(transformer, GenderEncoder)
    if encoder is not None:
        codes = np.asarray(encoder.transform(cells.to_frame()), np.float64)[:, 0]
        return CATEGORY, _texts([_GENDERS.get(code) for code in codes.tolist()])
    if is_made_by(transformer, CategoryEncoder):
        return CATEGORY, _as_categories(cells)
    if (
        is_made_by(transformer, *_READERS)
        or kind == NUMBER
        or (kind is None and _holds_numbers(cells))
    ):
        return NUMBER, _as_numbers(cells, _step(transformer, KitRangeScaler), place)
    return CATEGORY, _as_categories(cells)


def _step(transformer, kind):
    """Return the step of an input's transformer that is of a class, or None."""
    steps = [step for _, step in getattr(transformer, "steps", [(None, transformer)])]
    return next((step for step in steps if isinstance(step, kind)), None)


def _as_numbers(cells, scaler, place):
    censored = "error" if scaler is None else scaler.censored
    is_limit = scaler is not None and scaler.low is None and scaler.high is None and place > 0
    notation = Notation(censored="error" if is_limit else censored, is_limit=is_limit)
    if cells.dtype == bool:
        cells = cells.astype(np.float64)
    values = read_numbers(cells, cells.name, notation=notation)
    if scaler is None or is_limit:
        return values
    # Beyond a limit of the assay that is not named: the scaler puts its own in its place.
    return np.where(np.isinf(values), np.clip(values, *scaler.limits_[:, place]), values)


def _as_categories(cells):
    return _texts([None if is_missing(cell) else whole_text(cell) for cell in cells])


def _texts(values):
    texts = np.empty(len(values), object)
    texts[:] = values
    return texts


def _holds_numbers(cells):
    """Return whether the cells of a column that nobody declared are numbers."""
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return True
    texts = [str(cell) for cell in cells if not is_missing(cell)]
    return bool(texts) and all(map(is_number_text, texts))
