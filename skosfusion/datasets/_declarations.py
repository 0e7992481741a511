"""What the columns of a cohort's tables are; `load_cohort` reads each as its declaration says.

A new kind of column is a new frozen dataclass here, never a new parameter of `load_cohort`: its
fields say where the cells are and what is allowed, `__post_init__` refuses other values,
`_is_there` says whether it is read where nobody declared it, and `_read` returns the columns of
``cohort.data`` that it makes. These methods are for the modules of this room; their underscore says
that users are promised none of them. Which names may have which kind stands in `_complete.py`.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real

from .._utils.identity import respelled, shown_spellings
from .._utils.record_numbers import check_digits
from .._utils.validation import check_choice, check_parameter
from ._column import Column, option_for
from ._image_files import check_names, find_images
from ._labels import count_classes, describe_labels, note_labels, read_labels, refuse_conflicts


@dataclass(frozen=True, repr=False)
class ImageColumn(Column):
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
        cells = table.known(self.column, option_for("image"))
        if self.missing == "error":
            remedy = f"or use {self._declared('image', missing='keep')}"
            table.refuse_missing(self.column, cells, remedy)
        names = check_names(cells, self.column)
        if names.isna().all():
            raise ValueError(f"column {self.column!r} has no image in any row; give some")
        return names

    def _find(self, names, folder, option=None):
        """Return the absolute paths of images; `option` is the parameter that declares it."""
        trusting = replace(self, outside_links="allow")
        typed = f"{option}={trusting!r}" if option else option_for("image", trusting)
        remedy = None if self == trusting else f"use {typed}"
        return find_images(names, folder, column=self.column, link_remedy=remedy)


@dataclass(frozen=True, repr=False)
class PatientColumn(Column):
    """Declare the column of the patients' record numbers, which join images and clinical values.

    Parameters
    ----------
    column : str, default="patient_id"
        Your name for the column, the same in both tables.
    lost_digits : {"error", "allow"}, default="error"
        What becomes of record numbers that cannot be what they were: floats of 2^53 and more, texts
        such as "1.2E+15", numbers of more than 15 digits that all end in zeros, and errors of a
        spreadsheet, such as "########". The remedy is
        to read the table again as text, ``pd.read_csv(path, dtype=str)``, from a file that no
        spreadsheet has written.
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
    lost_digits: str = "error"
    spellings: str = "warn"

    def __post_init__(self):
        super().__post_init__()
        check_choice("lost_digits", self.lost_digits, ("error", "allow"))
        check_choice("spellings", self.spellings, ("warn", "keep"))

    def _numbers(self, table):
        """Return the record number of each row as text; none may be missing."""
        numbers = table.texts(self.column, option_for("patient_id"))
        if self.lost_digits == "error":
            cells = table.column(self.column, option_for("patient_id"))
            remedy = (
                "read the table again with this column as text, as in pd.read_csv(path, "
                "dtype=str), from a file that holds all digits; or, if these are the record "
                f"numbers, declare {self._declared('patient_id', lost_digits='allow')}"
            )
            check_digits(cells, f"column {self.column!r} of {table.title}", remedy)
        table.refuse_missing(self.column, numbers)
        return numbers

    def _spelling_text(self, numbers):
        """Return what to say of record numbers that differ in spelling only; None for nothing."""
        pairs = respelled(numbers) if self.spellings == "warn" else []
        if not pairs:
            return None
        allowing = self._declared("patient_id", spellings="keep")
        return (
            f"record numbers in column {self.column!r} are the same but for spelling, and count as "
            f"different patients: {shown_spellings(pairs)}; where they are one patient, images of "
            "this patient may come into both the training and the test set: write the record "
            f"number in one way in all rows; where they are different patients, use {allowing}"
        )


@dataclass(frozen=True, repr=False)
class TargetColumn(Column):
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
        declared = partial(self._declared, "target")
        cells = records.labels(self.column, option_for("target"))
        labels = read_labels(cells, self.positive, self.spellings, declared).rename(self.column)
        counts = count_classes(labels, self.positive)
        if self.label_conflicts == "error" and records.patients is not None:
            refuse_conflicts(labels, records.patients, f"use {declared(label_conflicts='keep')}")
        records.notes.extend(note_labels(cells, self.positive, labels, self.column))
        return labels, counts, describe_labels(cells, self.positive, labels)
