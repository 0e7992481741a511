"""Small images, and what an error about one must carry."""

import numpy as np
import pandas as pd

from .refusals import ROW

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (40, 40)).astype(np.uint8)
OTHER = GRAY.T[::-1].copy()
COLOR = RNG.integers(0, 256, (40, 40, 3)).astype(np.uint8)


def check_image_error(error, path, *, cause=True):
    """An ImageError carries path, row and, where a decoder or the system spoke, the cause."""
    assert error.path == path
    assert error.row == ROW
    assert (error.__cause__ is not None) == cause


def with_cells(table, column, cells):
    return table.assign(**{column: pd.Series(cells, dtype=object)})
