"""Which columns of a loaded cohort are inputs, for the transformer that normalizes them."""

from ._input_columns import CategoryColumn, NumberColumn
from ._number_columns import KitColumn
from ._one_hot_column import OneHotColumn

_KINDS = {
    "kits": KitColumn,
    "numbers": NumberColumn,
    "categories": (CategoryColumn, OneHotColumn),
}


def inputs_of(columns):
    """Return the arguments of `make_clinical_transformer` that name the inputs of a cohort."""
    inputs = {name: name if name in columns else None for name in ("gender", "age")}
    for kind, types in _KINDS.items():
        names = [name for name, column in columns.items() if isinstance(column, types)]
        inputs[kind] = {name: name for name in names}
    inputs["kits"] = {name: columns[name]._kit(name) for name in inputs["kits"]}
    return inputs
