"""A fitted model from its file, ready for new rows."""

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from ..datasets import get_data_home
from ..persistence import load_model
from ._errors import DataProblemError, UsageError

# Of the rows of a table, so many are worked on at a time.
_ROWS_AT_ONCE = 1024


def open_model(options):
    """Load the model, and set what belongs to this machine."""
    model = load_model(options.model)
    if not isinstance(model, Pipeline):
        raise UsageError(
            f"{options.model} holds a classifier without the steps that read a table; use a model "
            "that skosfusion fit has written, or save_model of a whole pipeline"
        )
    classifier = model[-1]
    changed = {"verbose": 0}
    if options.data_home is not None:
        changed["memory"] = get_data_home(options.data_home) / "memory"
    if options.device is not None:
        changed["device"] = options.device
    classifier.set_params(**changed)
    return model


def check_inputs(model, data):
    """Refuse a table that lacks columns of an input that the model was fitted with."""
    if not isinstance(model[0], ColumnTransformer):
        return
    lacking = {
        name: columns
        for name, steps, columns in model[0].transformers_
        if not isinstance(steps, str) and not set(columns) <= set(data)
    }
    if lacking:
        options = ", ".join(_declaration(name, columns) for name, columns in lacking.items())
        raise DataProblemError(
            f"the model was fitted with {', '.join(map(repr, lacking))}, of which the table has no "
            f"column; declare it as it was for the model: {options}. Where it was not measured, "
            "add a column without values"
        )


def _declaration(name, columns):
    """Return the option that declares an input; only kits have columns beside their value."""
    if name in ("gender", "age"):
        return f"--column {name}=COLUMN"
    if len(columns) > 1:
        return f"--kit {name}=VALUE,LOW,HIGH"
    return f"--number or --category {name}=COLUMN"


def chunks(model, n_rows, at_once=_ROWS_AT_ONCE):
    """Yield slices of rows, each of whole batches of the model."""
    batch = int(model[-1].fitted_params_["batch_size"])
    size = at_once if batch < 1 else batch * max(1, at_once // batch)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
