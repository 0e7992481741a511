"""`read_table`: tables in files of any kind that is read here, as text."""

import logging
import os
import warnings
from pathlib import Path

from .._utils.validation import check_parameter, refused
from ._csv import MAX_BYTES, MAX_ROWS, read_csv
from ._formats import kind_of
from ._reading import Reading

_logger = logging.getLogger(__name__)
_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(source, *, sheet=None, separator=None, decimal=None, encoding=None):
    r"""Read a table from a file, with all its cells as text.

    What a file is, how its columns are separated and how its letters and numbers are written is
    found out, said, and an error where it could be meant in two ways. :func:`load_cohort` reads
    paths in the same way, so this is for tables that need a word on how they are to be read, and
    for looking at what comes of them.

    Parameters
    ----------
    source : path-like
        Text (CSV) separated by commas, semicolons, tabs or vertical bars; an ``.xlsx``, ``.xlsm``
        or ``.ods`` workbook; or Parquet. The content decides, not the name.
    sheet : str or None, default=None
        The sheet of a workbook. None takes the only visible one with values.
    separator : str or None, default=None
        What stands between the cells of a text, one character. None finds it out.
    decimal : {".", ",", None}, default=None
        The decimal sign of the numbers in text. It is kept with the table, and
        :func:`load_cohort` reads by it the columns of which nothing else is declared. None finds
        out which columns have decimal commas, in texts that commas do not separate and in
        workbooks; a column whose numbers can all be read in two ways, such as "1.200", stays
        undecided, and is an error when it is read.
    encoding : str or None, default=None
        The encoding of a text. None takes what a mark at its beginning says; else UTF-8; else
        Windows-1252, where all words read well in it.

    Returns
    -------
    table : DataFrame of shape (n_rows, n_columns)
        Cells as text, the empty ones as "". Of a workbook: numbers as a spreadsheet shows them in
        full, whole ones without a point, those of more than 15 digits as "1.2e+16"; dates and times
        as in ISO 8601; "True" and "False"; errors such as "#REF!". Of Parquet, columns keep their
        types. ``table.attrs`` says how it was read, and where the file is: the folder of the
        images, where :func:`load_cohort` gets none.

    Raises
    ------
    ValueError
        For an argument out of its set; a file of another format, with what reads it; a text that
        can be separated or decoded in two ways; lines of a title or a second row of names at the
        top; a workbook with a password, with several sheets of which none was chosen, with merged
        cells, with formulas that have no value, or of a size that no table has.
    FileNotFoundError
        For a file that is not there.
    ImportError
        For a workbook without python-calamine, or Parquet without pyarrow.

    Warns
    -----
    UserWarning
        For hidden rows and columns, which are read.

    See Also
    --------
    load_cohort : Read tables, and check all of their cells.

    Notes
    -----
    Nothing in a workbook is executed: macros are ignored, and of a formula the value is taken that
    the spreadsheet has saved. The parts of a workbook are measured before they are read.

    What was found out is logged at level INFO, and ``DESCR`` of a cohort repeats it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skosfusion.datasets import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "values.csv")
    ...     text = "record;crp\n007;14,5\n"
    ...     _ = path.write_text(text)
    ...     table = read_table(path)
    >>> table
      record   crp
    0    007  14,5
    >>> table.attrs["skosfusion: read"]["said"]
    "separated by ';', UTF-8, decimal ',' in 'crp'"
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"source must be the path of a table, got {type(source).__name__}")
    valid = sheet is None or (isinstance(sheet, str) and sheet != "")
    check_parameter("sheet", sheet, valid, "the name of a sheet, or None")
    valid = separator is None or (
        isinstance(separator, str) and len(separator) == 1 and separator not in '"\r\n\0'
    )
    check_parameter("separator", separator, valid, "one character, such as ';', or None")
    check_parameter("decimal", decimal, decimal in (None, ".", ","), "'.', ',' or None")
    options = {"sheet": sheet, "separator": separator, "decimal": decimal, "encoding": encoding}
    _, cells, reading = read_file(source, "table", (), **options)
    for note in reading.notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return cells


def read_file(source, kind, texts, *, sheet=None, separator=None, decimal=None, encoding=None):
    """Return the title, the cells and the Reading of a table in a file."""
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"the {kind} {str(path)!r} does not exist")
    if not path.is_file():
        raise ValueError(f"the {kind} {str(path)!r} is not a regular file")
    title = f"the {kind} {path.name!r}"
    of_text = {"separator": separator, "encoding": encoding}
    try:
        format_ = "parquet" if path.suffix.lower() in _PARQUET_SUFFIXES else kind_of(path, texts)
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error
    if format_ == "text":
        _refuse(title, "text", sheet=sheet)
        cells, facts = read_csv(path, title, decimal=decimal, **of_text)
    elif format_ == "workbook":
        _refuse(title, "a workbook", **of_text)
        cells, facts = _read_workbook(path, title, sheet, decimal)
    else:
        _refuse(title, "Parquet", sheet=sheet, **of_text)
        cells, facts = _read_parquet(path, title), {"said": "Parquet"}
    values = {"name": path.name, "path": os.path.abspath(path), "decimal": decimal}
    reading = Reading(**(values | facts))
    _logger.info("Read %s", reading.sentence)
    return title, reading.keep_in(cells), reading


def _refuse(title, what, **options):
    """Raise ValueError for options that a format does not have."""
    for name, value in options.items():
        if value is not None:
            raise refused(name, value, f"None, as {title} is {what}")


def visible_sheets(path):
    """Return the names of the visible sheets of a workbook that hold a value."""
    title = f"the table {Path(path).name!r}"
    try:
        return _readers(title)[0](path) if kind_of(path, ()) == "workbook" else []
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error


def _readers(title):
    """Return the functions for workbooks, or raise ImportError with what they need."""
    try:
        from ._sheets import filled_sheets, read_sheet
    except ImportError as error:
        raise ImportError(
            f"cannot read {title}: reading workbooks needs python-calamine: pip install "
            "'skosfusion[excel]'"
        ) from error
    return filled_sheets, read_sheet


def _read_workbook(path, title, sheet, decimal):
    try:
        return _readers(title)[1](path, sheet, decimal)
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error


def _read_parquet(path, title):
    try:
        from ._parquet import PARQUET_ERRORS, read_flat_columns
    except ImportError as error:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'skosfusion[parquet]'"
        ) from error
    try:
        return read_flat_columns(path, max_rows=MAX_ROWS, max_bytes=MAX_BYTES)
    except PARQUET_ERRORS as error:
        raise ValueError(f"cannot read {title}: {error}") from error
