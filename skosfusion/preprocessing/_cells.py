"""Clinical tables, read column by column for the transformers of this room."""

import numpy as np
import pandas as pd
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from .._utils.missing_codes import CHECKED, missing_codes, shown_codes


def read_table(estimator, X, read_column, *, reset, dtype=np.float64):
    """Return X as an array of shape (n_samples, n_features), each column read by `read_column`."""
    if not isinstance(X, pd.DataFrame):
        given, options = X, {"ensure_all_finite": False, "estimator": estimator}
        X = check_array(given, dtype=None, **options)
        if X.dtype.kind == "U":
            # Of texts in a list, NumPy's own kind of text loses the NUL characters at the end.
            X = check_array(given, dtype=object, **options)
    validate_data(estimator, X, skip_check_array=True, reset=reset)
    columns = [X.iloc[:, i] for i in range(X.shape[1])] if isinstance(X, pd.DataFrame) else X.T
    read = [read_column(*pair) for pair in zip(columns, column_names(estimator), strict=True)]
    values = np.column_stack(read) if read else np.empty((len(X), 0))
    return check_array(values, dtype=dtype, ensure_all_finite=False, estimator=estimator)


def column_names(estimator):
    """Return the names of the input columns: as in the DataFrame, else their positions."""
    return list(getattr(estimator, "feature_names_in_", range(estimator.n_features_in_)))


def count_missing(values, columns):
    """Return the number of NaN in each column; a column of nothing else is an error."""
    n_missing = np.isnan(values).sum(axis=0)
    for column, count in zip(columns, n_missing, strict=True):
        if count == len(values):
            raise ValueError(
                f"column {column!r} has no value in any of the {count} rows to fit; "
                "leave this input out, or give rows that have it"
            )
    return n_missing


def to_float32(values, columns):
    """Return values as float32; a value beyond its range is an error, not an infinity."""
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    too_large = np.argwhere(np.isinf(small))
    if len(too_large):
        row, column = too_large[0]
        raise ValueError(
            f"value in column {columns[column]!r}, row {row} is too large: {values[row, column]} "
            "exceeds the range of float32; correct the value or its scale"
        )
    return small


def warn_of_codes(estimator, X, values, columns, *, may_be_negative=False, low=0.0):
    """Warn of numbers that look like codes for a missing value, unless the loader did so before."""
    checked = X.attrs.get(CHECKED, ()) if isinstance(X, pd.DataFrame) else ()
    for column, cells in zip(columns, values.T, strict=True):
        if column in checked:
            continue
        codes = missing_codes(cells, may_be_negative=may_be_negative, low=low)
        if codes:
            given = [int(code) if code.is_integer() else code for code in codes]
            estimator._warn_once(
                (column, *codes),
                f"column {column!r} holds {shown_codes(codes, len(cells))}, far from the others: a "
                "usual code for a missing value; if it is one, leave these cells empty: "
                f"table[{column!r}] = table[{column!r}].replace({given}, float('nan'))",
            )
