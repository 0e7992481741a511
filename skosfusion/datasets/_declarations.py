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

from .._utils.problems import Problems
from .._utils.validation import check_choice, check_parameter
from ._column import Column, option_for
from ._image_files import check_names, find_images, is_suffix
from ._labels import count_classes, describe_labels, note_labels, read_labels, refuse_conflicts
from ._presence import (
    count_present,
    describe_presence,
    known_cells,
    note_presence,
    read_presence,
)


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
    suffix : str or None, default=None
        What is put behind cells that do not end as the name of an image file does, such as
        ``".png"`` where the column holds "img_007" and the file is "img_007.png".

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
    suffix: str | None = None

    def __post_init__(self):
        super().__post_init__()
        check_choice("missing", self.missing, ("error", "keep"))
        check_choice("outside_links", self.outside_links, ("error", "allow"))
        valid = self.suffix is None or is_suffix(self.suffix)
        check_parameter("suffix", self.suffix, valid, "the end of a file name, as in '.png'")

    def _names(self, table, problems):
        """Return the file name of each row as text, NaN where missing.

        That some are missing is added to `problems`, where it is not allowed.
        """
        cells = table.known(self.column, option_for("image"))
        if self.missing == "error":
            remedy = f"or use {self._declared('image', missing='keep')}"
            with problems.collected():
                table.refuse_missing(self.column, cells, remedy)
        names = check_names(cells, self.column)
        if names.isna().all():
            raise ValueError(f"column {self.column!r} has no image in any row; give some")
        return names

    def _find(self, names, folder, option=None):
        """Return the absolute paths of images; `option` is the parameter that declares it."""

        def declared(**options):
            changed = replace(self, **options)
            return f"{option}={changed!r}" if option else option_for("image", changed)

        is_trusting = self.outside_links == "allow"
        remedy = None if is_trusting else f"use {declared(outside_links='allow')}"
        return find_images(
            names,
            folder,
            column=self.column,
            link_remedy=remedy,
            suffix=self.suffix,
            declared=declared,
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
    present : bool, default=False
        Whether the label is 1 where the cell has a value, whatever it is, and 0 where it is empty,
        as in a column of the days until an event. Not together with `positive`.

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
    present: bool = False

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
        valid = isinstance(self.present, bool) and not (self.present and self.positive is not None)
        allowed = "False, or True without positive, which is another way to say which label is 1"
        check_parameter("present", self.present, valid, allowed)

    def _labels(self, records):
        """Return the label of each image, the count of each class, and a description."""
        declared, problems, labels = partial(self._declared, "target"), Problems(), None
        if self.present:
            cells = records.cells(self.column, option_for("target"), known_cells)
            labels = read_presence(cells, self.column, declared)
            counts = count_present(labels, self.column)
        else:
            cells = records.labels(self.column, option_for("target"), problems)
            with problems.collected():
                labels = read_labels(cells, self.positive, self.spellings, declared)
                labels = labels.rename(self.column)
                counts = count_classes(labels, self.positive)
            if labels is None:
                problems.raise_any()
        if self.label_conflicts == "error" and records.patients is not None:
            with problems.collected():
                remedy = f"use {declared(label_conflicts='keep')}"
                refuse_conflicts(labels, records.patients.reindex(labels.index), remedy)
        problems.raise_any()
        if self.present:
            records.notes.extend(note_presence(cells, self.column))
            return labels, counts, describe_presence(counts)
        records.notes.extend(note_labels(cells, self.positive, labels, self.column))
        return labels, counts, describe_labels(cells, self.positive, labels)
