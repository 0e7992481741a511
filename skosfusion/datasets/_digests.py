"""A manifest of image files: a column of their SHA-256 digests."""

import hashlib
import re

from .._utils.cells import shown_cell
from .._utils.validation import check_parameter
from ..exceptions import ImageError
from ..images import read_file
from ._column import is_column_name
from ._frames import open_frame

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def check_digests(frame, digests="sha256", *, image="image", image_folder=None):
    """Compare image files with the SHA-256 digests in a column, so that any changed bit is noticed.

    Each file is read, and compared with the digest of its row, whatever its format. Rows without an
    image are left out. Changes after this call are not noticed.

    Parameters
    ----------
    frame : DataFrame or path-like
        One row per image: the image table of :func:`load_cohort`, or its ``cohort.frame`` with a
        column of digests. A path is read as :func:`load_cohort` reads it.
    digests : str, default="sha256"
        Column of the digests: 64 hexadecimal digits, as ``sha256sum`` writes them.
    image : str or ImageColumn, default="image"
        Column of the image paths.
    image_folder : path-like or None, default=None
        Folder that the image paths are relative to. None takes that of a table given as path, and
        needs absolute paths in a DataFrame, as in ``cohort.frame``.

    Raises
    ------
    ImageError
        For the first file that does not have the digest of its row, and for one that cannot be
        read; with its path and row.
    ValueError
        For a cell that is not a digest, an image without one, a missing column, and an image that
        is outside the folder.
    TypeError
        For a table, an image path or a cell of another type.
    FileNotFoundError
        For a table, an image folder or an image that is not there.

    See Also
    --------
    load_cohort : Load the cohort once its files are known to be sound.

    Examples
    --------
    >>> import hashlib, pathlib, tempfile
    >>> import pandas as pd
    >>> from skosfusion.datasets import check_digests
    >>> table = pd.DataFrame(
    ...     {"image": ["knee.png"], "sha256": [hashlib.sha256(b"pixels").hexdigest()]}
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "knee.png").write_bytes(b"pixels")
    ...     check_digests(table, image_folder=folder)
    """
    check_parameter("digests", digests, is_column_name(digests), "the name of a column")
    opened = open_frame(frame, image, image_folder)
    table, paths = opened.table, opened.find()
    paths = paths[paths.notna()]
    cells = table.known(digests, "digests=...")
    table.refuse_missing(digests, cells[paths.index])
    for row, path in paths.items():
        _check_digest(path, cells[row], digests, row)


def _check_digest(path, digest, column, row):
    """Raise an error unless a file has the digest in a cell."""
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest.strip()):
        raise ValueError(
            f"column {column!r}, row {row}: {shown_cell(digest)} is not a SHA-256 digest; give "
            "its 64 hexadecimal digits"
        )
    found = hashlib.sha256(read_file(path, row=row)[0]).hexdigest()
    if found != digest.strip().lower():
        raise ImageError(
            f"the file has been changed or damaged: its SHA-256 digest is {found}, and not "
            f"{digest.strip()} as in column {column!r}; restore the file, or correct the table",
            path=path,
            row=row,
        )
