"""What the columns of a cohort's tables are; `load_cohort` reads each as its declaration says.

A new kind of column is a new frozen dataclass here, never a new parameter of `load_cohort`: its
fields say where the cells are and what is allowed, `__post_init__` refuses other values,
`_is_there` says whether it is read where nobody declared it, and `_read` returns the columns of
``cohort.data`` that it makes. Which names may have which kind stands in `_complete.py`.
"""

from collections.abc import Hashable
from dataclasses import MISSING, dataclass, fields, replace

from .._utils.identity import respelled, shown_spellings
from .._utils.validation import check_choice, check_parameter
from ..preprocessing import check_kit
from ._image_files import check_names, find_images
from ._labels import count_classes, read_labels, refuse_conflicts


class _Column:
    """A declared column; one of a single name has the field `column`."""

    def __post_init__(self):
        check_parameter("column", self.column, is_column_name(self.column), "the name of a column")

    def __repr__(self):
        given = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    @property
    def _columns(self):
        return [self.column]

    def _is_there(self, name, tables):
        return any(table.has(self.column) for table in tables)


@dataclass(frozen=True, repr=False)
class ImageColumn(_Column):
    """Declare the column that names the image files.

    Parameters
    ----------
    column : str, default="image"
        Your name for the column. Its cells are paths, relative to the image folder.
    missing : {"error", "keep"}, default="error"
        What becomes of rows without an image: with "keep" the path is NaN. That all rows are
        without an image is an error always.
    outside_links : {"error", "allow"}, default="error"
        Whether a symbolic link may lead out of the image folder.

    Raises
    ------
    ValueError
        For a value out of its set.

    Examples
    --------
    >>> from skosfusion.datasets import ImageColumn
    >>> ImageColumn("file", missing="keep")
    ImageColumn(column='file', missing='keep')
    """

    column: Hashable = "image"
    missing: str = "error"
    outside_links: str = "error"

    def __post_init__(self):
        super().__post_init__()
        check_choice("missing", self.missing, ("error", "keep"))
        check_choice("outside_links", self.outside_links, ("error", "allow"))

    def _names(self, table):
        """Return the file name of each row as text, NaN where missing and that is allowed."""
        cells = table.known(self.column, _option("image"))
        if self.missing == "error":
            remedy = f"or use {_option('image', replace(self, missing='keep'))}"
            table.refuse_missing(self.column, cells, remedy)
        names = check_names(cells, self.column)
        if names.isna().all():
            raise ValueError(f"column {self.column!r} has no image in any row; give some")
        return names

    def _find(self, names, folder, option=None):
        """Return the absolute paths of images; `option` is the parameter that declares it."""
        trusting = replace(self, outside_links="allow")
        typed = f"{option}={trusting!r}" if option else _option("image", trusting)
        remedy = None if self == trusting else f"use {typed}"
        return find_images(names, folder, column=self.column, link_remedy=remedy)


@dataclass(frozen=True, repr=False)
class PatientColumn(_Column):
    """Declare the column of the patients' record numbers, which join images and clinical values.

    Parameters
    ----------
    column : str, default="patient_id"
        Your name for the column, the same in both tables.
    spellings : {"warn", "keep"}, default="warn"
        Whether record numbers that are the same but for spelling, such as "P-007" and "p7", are a
        `LeakageWarning`. They are different patients in either case; nothing is merged.

    Raises
    ------
    ValueError
        For a value out of its set.

    Examples
    --------
    >>> from skosfusion.datasets import PatientColumn
    >>> PatientColumn("record", spellings="keep")
    PatientColumn(column='record', spellings='keep')
    """

    column: Hashable = "patient_id"
    spellings: str = "warn"

    def __post_init__(self):
        super().__post_init__()
        check_choice("spellings", self.spellings, ("warn", "keep"))

    def _numbers(self, table):
        """Return the record number of each row as text; none may be missing."""
        numbers = table.texts(self.column, _option("patient_id"))
        table.refuse_missing(self.column, numbers)
        return numbers

    def _spelling_text(self, numbers):
        """Return what to say of record numbers that differ in spelling only; None for nothing."""
        pairs = respelled(numbers) if self.spellings == "warn" else []
        if not pairs:
            return None
        allowing = _option("patient_id", replace(self, spellings="keep"))
        return (
            f"record numbers in column {self.column!r} are the same but for spelling, and count as "
            f"different patients: {shown_spellings(pairs)}; where they are one patient, images of "
            "this patient may come into both the training and the test set: write the record "
            f"number in one way in all rows; where they are different patients, use {allowing}"
        )


@dataclass(frozen=True, repr=False)
class GenderColumn(_Column):
    """Declare the column of the patients' genders, which are kept as text.

    Parameters
    ----------
    column : str, default="gender"
        Your name for the column.

    Raises
    ------
    ValueError
        For what is not the name of a column.

    See Also
    --------
    skosfusion.preprocessing.GenderEncoder : Turn the text into numbers.

    Examples
    --------
    >>> from skosfusion.datasets import GenderColumn
    >>> GenderColumn("sex")
    GenderColumn(column='sex')
    """

    column: Hashable = "gender"

    def _read(self, records, name):
        return {name: records.texts(self.column, _option(name))}


@dataclass(frozen=True, repr=False)
class AgeColumn(_Column):
    """Declare the column of the patients' ages.

    Parameters
    ----------
    column : str, default="age"
        Your name for the column. Its cells are years.

    Raises
    ------
    ValueError
        For what is not the name of a column.

    See Also
    --------
    skosfusion.preprocessing.AgeScaler : Normalize ages.

    Examples
    --------
    >>> from skosfusion.datasets import AgeColumn
    >>> AgeColumn("years")
    AgeColumn(column='years')
    """

    column: Hashable = "age"

    def _read(self, records, name):
        return {name: records.numbers(self.column, _option(name))}


@dataclass(frozen=True, repr=False)
class KitColumn(_Column):
    """Declare a laboratory value with the normal range of the kit that measured it.

    Parameters
    ----------
    value : str
        Column of the values.
    low : str or float
        Lower limit of the normal range, in the unit of the value: a column, or one number for all.
    high : str or float
        Upper limit; a column where `low` is one, else a number above `low`.

    Raises
    ------
    ValueError
        For other than a column with two other columns, or with two numbers in their order.

    See Also
    --------
    skosfusion.preprocessing.KitRangeScaler : Normalize values by the range of their kit.

    Examples
    --------
    >>> from skosfusion.datasets import KitColumn
    >>> KitColumn("CRP", 0, 5)
    KitColumn(value='CRP', low=0, high=5)
    """

    value: str
    low: str | float
    high: str | float

    def __post_init__(self):
        check_kit("KitColumn", self._parts)

    @property
    def _parts(self):
        return self.value, self.low, self.high

    @property
    def _columns(self):
        return [part for part in self._parts if isinstance(part, str)]

    def _is_there(self, name, tables):
        there = [any(table.has(column) for table in tables) for column in self._columns]
        if there[0] and not all(there):
            raise ValueError(
                f"column {self.value!r} is there, but the limits of its normal range are not; "
                f"give them as columns={{{name!r}: ({self.value!r}, low, high)}}, columns or "
                f"numbers, or leave the value out with columns={{{name!r}: None}}"
            )
        return all(there)

    def _read(self, records, name):
        return {
            new: records.numbers(part, _option(name)) if isinstance(part, str) else float(part)
            for new, part in zip((name, f"{name}_low", f"{name}_high"), self._parts, strict=True)
        }


@dataclass(frozen=True, repr=False)
class TargetColumn(_Column):
    """Declare the column of the labels.

    Parameters
    ----------
    column : str, default="diagnosis"
        Your name for the column, in either table.
    positive : str or None, default=None
        Text that marks a label as positive, wherever in the label and in whichever case it occurs;
        plain text, not a regular expression. The target is then 1 or 0. None leaves the labels as
        they are; text of which every cell is a number becomes numbers.
    label_conflicts : {"error", "keep"}, default="error"
        What becomes of a patient whose images have different labels.

    Raises
    ------
    ValueError
        For a value out of its set.

    Examples
    --------
    >>> from skosfusion.datasets import TargetColumn
    >>> TargetColumn("finding", positive="osteosarcoma")
    TargetColumn(column='finding', positive='osteosarcoma')
    """

    column: str = "diagnosis"
    positive: str | None = None
    label_conflicts: str = "error"

    def __post_init__(self):
        valid = isinstance(self.column, str)
        check_parameter("column", self.column, valid, "the name of a column, of type str")
        valid = self.positive is None or (isinstance(self.positive, str) and self.positive != "")
        check_parameter("positive", self.positive, valid, "a text to look for, or None")
        check_choice("label_conflicts", self.label_conflicts, ("error", "keep"))

    def _labels(self, records):
        """Return the label of each image, and the number of images of each class by its name."""
        cells = records.labels(self.column, _option("target"))
        labels = read_labels(cells, self.positive).rename(self.column)
        counts = count_classes(labels, self.positive)
        if self.label_conflicts == "error":
            remedy = f"use {_option('target', replace(self, label_conflicts='keep'))}"
            refuse_conflicts(labels, records.patients, remedy)
        return labels, counts


def is_column_name(what):
    """Return whether this can be the name of a column of any table."""
    is_other = what is None or isinstance(what, _Column | type)
    return isinstance(what, Hashable) and not is_other


def _option(name, declaration=...):
    """Return what one types to declare the column of this name, for errors."""
    return f"columns={{{name!r}: {'...' if declaration is ... else repr(declaration)}}}"
