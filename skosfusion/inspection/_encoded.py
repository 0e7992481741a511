"""How the columns of an encoded clinical input change with its value."""

import numpy as np
from sklearn.pipeline import Pipeline

from ..preprocessing import MissingValues

# Half the step of a central difference, in units of the normalized value: small beside the distance
# of knots, and large beside what is lost in rounding.
_STEP = 1e-4


def is_encoded(transformer):
    """Return whether an input is encoded after its missing values have been filled in."""
    place = _place_of_missing(transformer)
    return place is not None and place + 1 < len(transformer.steps)


def slope_of_encoding(transformer, cells):
    """Return the change of each column with the normalized value: (n_samples, n_columns)."""
    place = _place_of_missing(transformer)
    filled = transformer[: place + 1].transform(cells).astype(np.float64)
    encode = transformer[place + 1 :]
    ends = []
    for step in (_STEP, -_STEP):
        moved = filled.copy()
        moved.iloc[:, 0] += step
        ends.append(np.asarray(encode.transform(moved), np.float64))
    return (ends[0] - ends[1]) / (2 * _STEP)


def _place_of_missing(transformer):
    if not isinstance(transformer, Pipeline):
        return None
    places = [n for n, (_, step) in enumerate(transformer.steps) if isinstance(step, MissingValues)]
    return places[0] if places else None
