"""What the columns of a cohort's tables are; `load_cohort` reads each as its declaration says.

A new kind of column is a new frozen dataclass here, never a new parameter of `load_cohort`: its
fields say where the cells are and what is allowed, `__post_init__` refuses other values,
`_is_there` says whether it is read where nobody declared it, and `_read` returns the columns of
``cohort.data`` that it makes. These methods are for the modules of this room; their underscore says
that users are promised none of them. Which names may have which kind stands in `_complete.py`.
"""

from collections.abc import Hashable
from dataclasses import KW_ONLY, MISSING, dataclass, fields, replace
from numbers import Real

import numpy as np

from .._utils.ages import age_of_dates
from .._utils.cells import is_number
from .._utils.problems import Problems
from .._utils.record_numbers import check_digits
from .._utils.validation import check_choice, check_parameter
from ..preprocessing import check_kit
from ._image_files import check_names, find_images
from ._labels import count_classes, describe_labels, note_labels, read_labels, refuse_conflicts
from ._near_names import nearest_names
from ._number_options import NumberOptions


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
    lost_digits : {"error", "allow"}, default="error"
        What becomes of record numbers that cannot be what they were: floats of 2^53 and more, texts
        such as "1.2E+15", and numbers of more than 15 digits that all end in zeros. The remedy is
        to read the table again as text, ``pd.read_csv(path, dtype=str)``, from a file that no
        spreadsheet has written.

    Raises
    ------
    ValueError
        For a value out of its set.

    Examples
    --------
    >>> from skosfusion.datasets import PatientColumn
    >>> PatientColumn("record")
    PatientColumn(column='record')
    """

    column: Hashable = "patient_id"
    lost_digits: str = "error"

    def __post_init__(self):
        super().__post_init__()
        check_choice("lost_digits", self.lost_digits, ("error", "allow"))

    def _numbers(self, table):
        """Return the record number of each row as text; none may be missing."""
        numbers = table.texts(self.column, _option("patient_id"))
        if self.lost_digits == "error":
            cells = table.column(self.column, _option("patient_id"))
            remedy = (
                "read the table again with this column as text, as in pd.read_csv(path, "
                "dtype=str), from a file that holds all digits; or, if these are the record "
                f"numbers, declare {_option('patient_id', replace(self, lost_digits='allow'))}"
            )
            check_digits(cells, f"column {self.column!r} of {table.title}", remedy)
        table.refuse_missing(self.column, numbers)
        return numbers


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
class AgeColumn(NumberOptions, _Column):
    """Declare the column of the patients' ages.

    Parameters
    ----------
    column : str, default="age"
        Your name for the column. Its cells are years.
    decimal : {".", ",", None}, default=None
        As in :class:`KitColumn`; with "," the cell "14,5" is read.
    unit : str, list of str or None, default=None
        As in :class:`KitColumn`; with "years" the cell "14 years" is read. No age is converted.
    censored : {"error", "limit"}, default="error"
        As in :class:`KitColumn`; with "limit" the cell ">89" is read as 89.
    na_values : list of str or number, or None, default=None
        As in :class:`KitColumn`; ``[99]`` where 99 stands for an unknown age.

    Raises
    ------
    ValueError
        For a value out of its set.

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
    _: KW_ONLY
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        self._check_number_options()

    def _read(self, records, name):
        def declared(**options):
            return _option(name, replace(self, **options))

        ages = records.numbers(
            self.column,
            _option(name),
            notation=self._notation(),
            missing=self._missing(),
            declared=declared,
            dates=age_of_dates,
        )
        self._note_codes(records, ages, self.column, declared=declared)
        return {name: ages}


@dataclass(frozen=True, repr=False)
class KitColumn(NumberOptions, _Column):
    """Declare a laboratory value with the normal range of the kit that measured it.

    Parameters
    ----------
    value : str
        Column of the values.
    low : str or float
        Lower limit of the normal range, in the unit of the value: a column, or one number for all.
    high : str or float
        Upper limit; a column where `low` is one, else a number above `low`.
    decimal : {".", ",", None}, default=None
        The decimal sign of numbers in text. With "," a point, blank or apostrophe may part
        thousands ("1.200,5"), with "." a comma, blank or apostrophe. None takes a point, and
        refuses what could be meant otherwise.
    unit : str, list of str or None, default=None
        What may stand behind the digits of a cell: a unit, such as "U/l", or a mark. No value is
        converted.
    censored : {"error", "limit"}, default="error"
        What becomes of values beyond the limits of the assay: "<5", ">1200", -inf and inf. With
        "limit" the limit takes their place, 5 and 1200; for -inf and inf the smallest and the
        largest value of the column.
    na_values : list of str or number, or None, default=None
        What else stands for a missing value in this column. None warns of numbers that look like
        codes for one, such as 9999; ``()`` declares that there are none.

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
    _: KW_ONLY
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None

    def __post_init__(self):
        check_kit("KitColumn", self._parts)
        self._check_number_options()

    @property
    def _parts(self):
        return self.value, self.low, self.high

    @property
    def _columns(self):
        return [part for part in self._parts if isinstance(part, str)]

    def _is_there(self, name, tables):
        found = [any(table.has(column) for table in tables) for column in self._columns]
        if found[0] and not all(found):
            free = [column for table in tables for column in table.cells.columns]
            near = [nearest_names(part, free) for part in self._columns[1:]]
            low, high = (
                repr(names[0]) if names else word
                for names, word in zip(near, ("low", "high"), strict=True)
            )
            raise ValueError(
                f"column {self.value!r} is there, but the limits of its normal range are not; "
                f"give them as columns={{{name!r}: ({self.value!r}, {low}, {high})}}, columns or "
                f"numbers, or leave the value out with columns={{{name!r}: None}}"
            )
        return all(found)

    def _read(self, records, name):
        def declared(**options):
            return _option(name, replace(self, **options))

        read, problems = {}, Problems()
        for new, part in zip((name, f"{name}_low", f"{name}_high"), self._parts, strict=True):
            if is_number(part):
                read[new] = float(part)
                continue
            is_value = new == name
            with problems.collected():
                read[new] = records.numbers(
                    part,
                    _option(name),
                    notation=self._notation() if is_value else self._notation(censored="error"),
                    missing=self._missing() if is_value else frozenset(),
                    declared=declared,
                )
        problems.raise_any()
        lowest = np.nanmin(read[f"{name}_low"]) if np.any(np.isfinite(read[f"{name}_low"])) else 0
        may_be_negative = bool(lowest < 0)
        self._note_codes(
            records, read[name], self.value, declared=declared, may_be_negative=may_be_negative
        )
        return read


@dataclass(frozen=True, repr=False)
class TargetColumn(_Column):
    """Declare the column of the labels.

    Parameters
    ----------
    column : str, default="diagnosis"
        Your name for the column, in either table.
    positive : str, number, list of these or None, default=None
        The label that is positive, or a list of them; each is a whole label, compared without
        regard to its spelling (case, white space, hyphens). In a text with "*" each star stands
        for any characters: "osteosarcoma*". The target is then 1 or 0, and ``DESCR`` says which
        label became which. None leaves the labels as they are; text of which every cell is a
        number becomes numbers.
    label_conflicts : {"error", "keep"}, default="error"
        What becomes of a patient whose images have different labels.
    spellings : {"error", "merge", "keep"}, default="error"
        What becomes of labels that differ in spelling only, such as "Yes" and "yes ": with "merge"
        the most frequent spelling of each is taken, with "keep" they are classes of their own.
        With `positive`, spelling does not matter.

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
    positive: str | float | tuple | None = None
    label_conflicts: str = "error"
    spellings: str = "error"

    def __post_init__(self):
        valid = isinstance(self.column, str)
        check_parameter("column", self.column, valid, "the name of a column, of type str")
        if isinstance(self.positive, list):
            object.__setattr__(self, "positive", tuple(self.positive))
        labels = self.positive if isinstance(self.positive, tuple) else [self.positive]
        valid = self.positive is None or (
            len(labels) > 0
            and all(isinstance(label, str | Real) and str(label).strip() for label in labels)
        )
        allowed = "a label, a list of labels, a pattern with '*', or None"
        check_parameter("positive", self.positive, valid, allowed)
        check_choice("spellings", self.spellings, ("error", "merge", "keep"))
        check_choice("label_conflicts", self.label_conflicts, ("error", "keep"))

    def _labels(self, records):
        """Return the label of each image, the count of each class, and a description."""

        def declared(**options):
            return _option("target", replace(self, **options))

        cells = records.labels(self.column, _option("target"))
        labels = read_labels(cells, self.positive, self.spellings, declared).rename(self.column)
        counts = count_classes(labels, self.positive)
        if self.label_conflicts == "error" and records.patients is not None:
            refuse_conflicts(labels, records.patients, f"use {declared(label_conflicts='keep')}")
        records.notes.extend(note_labels(cells, self.positive, labels, self.column))
        return labels, counts, describe_labels(cells, self.positive, labels)


def is_column_name(what):
    """Return whether this can be the name of a column of any table."""
    is_other = what is None or isinstance(what, _Column | type)
    return isinstance(what, Hashable) and not is_other


def _option(name, declaration=...):
    """Return what one types to declare the column of this name, for errors."""
    return f"columns={{{name!r}: {'...' if declaration is ... else repr(declaration)}}}"
