"""Which columns of a loaded cohort are inputs, for the transformer that normalizes them."""

from .._utils.validation import shown
from ._input_columns import CategoryColumn, NumberColumn
from ._number_columns import KitColumn
from ._one_hot_column import OneHotColumn

_KINDS = {
    "kits": KitColumn,
    "numbers": NumberColumn,
    "categories": (CategoryColumn, OneHotColumn),
}


def without_empty(data, columns):
    """Return data and declarations without the inputs that have no value, and a note for each."""
    empty = [name for name in columns if data[name].isna().all()]
    notes = []
    for name in empty:
        read = shown(columns[name]._columns, "column", repr)
        notes.append(
            f"the input {name!r} has no value in any row ({read}) and is left out; declare "
            f"columns={{{name!r}: None}} to leave it out without this notice"
        )
    gone = [column for name in empty for column in (name, f"{name}_low", f"{name}_high")]
    data = data.drop(columns=[column for column in gone if column in data])
    return data, {name: column for name, column in columns.items() if name not in empty}, notes


def inputs_of(columns):
    """Return the arguments of `make_clinical_transformer` that name the inputs of a cohort."""
    inputs = {name: name if name in columns else None for name in ("gender", "age")}
    for kind, types in _KINDS.items():
        names = [name for name, column in columns.items() if isinstance(column, types)]
        inputs[kind] = {name: name for name in names}
    inputs["kits"] = {name: columns[name]._kit(name) for name in inputs["kits"]}
    return inputs
