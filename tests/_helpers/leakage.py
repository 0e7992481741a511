"""What the tests of leakage share."""

import shutil

from sklearn.model_selection import (
    StratifiedGroupKFold,
)

from skosfusion import check_leakage

BY_PATIENT = StratifiedGroupKFold(3, shuffle=True, random_state=0)


def quiet(frame, *args, **options):
    return check_leakage(frame, *args, on_leak="ignore", verbose=0, **options)


def replace(table, row, like, **changes):
    """Let one row show the file of another, copied to its own place."""
    shutil.copy(table.loc[like, "image"], table.loc[row, "image"])
    for column, value in changes.items():
        table.loc[row, column] = value
