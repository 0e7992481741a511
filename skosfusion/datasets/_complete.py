"""What users say of their columns, made complete: a declaration for each column to read."""

from .._utils.validation import check_parameter, did_you_mean, refused
from ..preprocessing import PAPER_KITS, check_kit, check_kit_name
from ._age_column import AgeColumn
from ._column import is_column_name
from ._declarations import ImageColumn, TargetColumn
from ._gender_column import GenderColumn
from ._input_columns import CategoryColumn, NumberColumn
from ._kept_columns import KeptColumn
from ._number_columns import KitColumn
from ._one_hot_column import OneHotColumn
from ._patient_column import PatientColumn
from ._same_patients import no_patients_named

_REQUIRED = ("image", "patient_id", "target")
# Kinds that belong to one of our names, and kinds for names that users choose.
_KINDS = {
    "image": ImageColumn,
    "patient_id": PatientColumn,
    "gender": GenderColumn,
    "age": AgeColumn,
    "target": TargetColumn,
}
_INPUT_KINDS = (KitColumn, NumberColumn, CategoryColumn, OneHotColumn)
_FREE_KINDS = (*_INPUT_KINDS, KeptColumn)
# What belongs to a patient and not to an image, for tables that name no patient.
_OF_PATIENTS = (GenderColumn, AgeColumn, KitColumn, NumberColumn)


def complete_columns(columns, tables, problems):
    """Return all columns to read, by name, and which of ours were looked for and are not there."""
    check_parameter("columns", columns, isinstance(columns, dict), "a dict of our names to yours")
    declared = {name: _declare(name, what) for name, what in columns.items()}
    ours = {name: kind() for name, kind in _KINDS.items()}
    ours |= {name: KitColumn(*kit) for name, kit in PAPER_KITS.items()}
    absent = {}
    for name, column in ours.items():
        if name in declared:
            continue
        is_there = name in _REQUIRED
        with problems.collected():
            is_there = is_there or column._is_there(name, tables)
        if is_there:
            declared[name] = column
        else:
            absent[name] = column
    if "patient_id" not in columns and len(tables) == 1:
        _look_for_patients(declared, tables[0], problems)
    return {name: column for name, column in declared.items() if column is not None}, absent


def _look_for_patients(declared, table, problems):
    """Note that a table names no patient, and go on as if each image were one."""
    if table.has(declared["patient_id"].column):
        return
    given = [*declared["image"]._columns, *declared["target"]._columns]
    of_patients = [
        column
        for what in declared.values()
        if isinstance(what, _OF_PATIENTS)
        for column in what._columns
    ]
    problems.add(no_patients_named(table, given, of_patients))
    declared["patient_id"] = PatientColumn(None)


def columns_of_text(columns):
    """Return the columns that must stay text, however a table is read."""
    names = []
    for name in ("image", "patient_id", "target"):
        what = columns.get(name) if isinstance(columns, dict) else None
        column = getattr(what, "column", what)
        names.append(column if isinstance(column, str) else _KINDS[name]().column)
    return names


def _declare(name, what):
    """Return what a user wrote for one of our names, or a name of their own, as a declaration."""
    if name not in _KINDS:
        return _declare_freely(name, what)
    kind, is_optional = _KINDS[name], name not in _REQUIRED
    if isinstance(what, kind) or (what is None and is_optional):
        return what
    if what is None and name == "patient_id":
        return PatientColumn(None)
    allowed = f"the name of a column, or {kind.__name__}(...)"
    allowed += ", or None to leave it out" if is_optional else ""
    allowed += ", or None if each image is of another patient" if name == "patient_id" else ""
    check_parameter(f"columns[{name!r}]", what, is_column_name(what), allowed)
    return kind(what)


def _declare_freely(name, what):
    known = [*_KINDS, *PAPER_KITS]
    if name not in known and not isinstance(what, (*_FREE_KINDS, tuple, list)):
        hint = did_you_mean(name, known)
        allowed = (
            f"one of {known}, or a name of your own for NumberColumn(column), "
            "CategoryColumn(column), OneHotColumn(columns), KeptColumn(column) or "
            "KitColumn(value, low, high)"
        )
        raise refused("key of columns", name, f"{allowed}{hint and '; '}{hint}")
    if isinstance(what, KeptColumn):
        valid = isinstance(name, str) and name.strip() != "" and name not in PAPER_KITS
        allowed = f"a name of your own, of str, other than {known}"
        check_parameter("name of a kept column", name, valid, allowed)
        return what
    check_kit_name(name)
    if what is None or isinstance(what, _FREE_KINDS):
        return what
    if isinstance(what, str):
        what = (what, *PAPER_KITS[name][1:])
    check_kit(f"columns[{name!r}]", what)
    return KitColumn(*what)


def as_image_column(image):
    """Return a column name as the declaration of an image column."""
    if isinstance(image, ImageColumn):
        return image
    allowed = "the name of a column, or ImageColumn(...)"
    check_parameter("image", image, is_column_name(image), allowed)
    return ImageColumn(image)
