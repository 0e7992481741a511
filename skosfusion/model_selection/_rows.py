"""The models that stand side by side under the same folds, one a row of a table."""

from collections.abc import Mapping

from sklearn.base import clone

from .._utils.validation import did_you_mean
from ._ablation import ABLATIONS, ablation_param_grid


class Row:
    """An estimator with its name; `params` of a grid point, where it is an ablation."""

    def __init__(self, name, estimator, params=None, inputs=None):
        self.name, self.estimator, self.params, self.inputs = name, estimator, params, inputs

    @property
    def is_ablation(self):
        """Return whether it is a row of `ablation_table`."""
        return self.inputs is not None

    def described(self):
        """Return what the row is, in plain JSON."""
        if self.is_ablation:
            return {"inputs": list(self.inputs)}
        if self.params is not None:
            return {"params": {name: repr(value) for name, value in self.params.items()}}
        return {"estimator": repr(self.estimator)}


def make_rows(estimator, ablations, step):
    """Make the estimator of each row: of its inputs, of parameters to set, or a given one."""
    if ablations is None:
        ablations = ABLATIONS
    if not isinstance(ablations, Mapping) or not ablations:
        raise ValueError(
            f"ablations={ablations!r:.200} must be a dict of at least one name to the inputs "
            "beside the image (a tuple), parameters to set (a dict), or an estimator"
        )
    inputs = {name: used for name, used in ablations.items() if isinstance(used, tuple | list)}
    points = []
    if inputs:
        points = ablation_param_grid(inputs, step=step, estimator=estimator)
    points = dict(zip(inputs, points, strict=True))
    rows = []
    for name, value in ablations.items():
        if name in inputs:
            point = {key: values[0] for key, values in points[name].items()}
            rows.append(Row(name, _with(estimator, point, name), point, inputs[name]))
        elif isinstance(value, Mapping):
            rows.append(Row(name, _with(estimator, value, name), dict(value)))
        elif hasattr(value, "fit") and not isinstance(value, type):
            rows.append(Row(name, clone(value)))
        else:
            raise TypeError(
                f"row {name!r} is {value!r:.200}; allowed: a tuple of inputs, a dict of "
                "parameters, or an estimator (an object, not its class)"
            )
    return rows


def _with(estimator, params, name):
    known = estimator.get_params()
    for param in params:
        if param not in known:
            raise ValueError(
                f"row {name!r} sets {param!r}, which is not a parameter of the estimator; "
                f"{did_you_mean(param, known)}"
            )
    return clone(estimator).set_params(**params)
