"""A fitted model from its file, ready for new rows."""

from sklearn.pipeline import Pipeline

from ..datasets import get_data_home
from ..persistence import load_model
from ._errors import UsageError

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


def chunks(model, n_rows, at_once=_ROWS_AT_ONCE):
    """Yield slices of rows, each of whole batches of the model."""
    batch = int(model[-1].fitted_params_["batch_size"])
    size = at_once if batch < 1 else batch * max(1, at_once // batch)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
