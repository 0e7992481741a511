"""The paper's ablation as plain model selection over "drop"."""

from collections.abc import Mapping

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

#: The eight ablations of the paper's Table 1: name to the clinical inputs beside the image.
ABLATIONS = {
    "Baseline": (),
    "Gender": ("gender",),
    "Age": ("age",),
    "Gender & age": ("gender", "age"),
    "LDH": ("ldh",),
    "ALP": ("alp",),
    "ALP & LDH": ("alp", "ldh"),
    "All": ("gender", "age", "alp", "ldh"),
}

#: Parameters of the pipeline with which it is fitted on clinical values alone, without an image.
CLINICAL_ONLY = {"clinical__image": "drop", "classifier__image_column": None}

#: Parameters of the pipeline with which both classes weigh the same in its loss.
CLASS_WEIGHTED = {"classifier__class_weight": "balanced"}


def ablation_param_grid(ablations=None, *, step="clinical", inputs=None, estimator=None):
    """Write an ablation as a parameter grid for ``GridSearchCV``.

    Each ablation becomes one grid point that sets the inputs it does without to
    "drop", which is how a ColumnTransformer switches a column off.

    Parameters
    ----------
    ablations : dict of str to tuple of str or None, default=None
        Name to the clinical inputs that it uses; None takes `ABLATIONS`.
    step : str or None, default="clinical"
        Name of the ColumnTransformer in the pipeline; None if it is searched itself.
    inputs : list of str or None, default=None
        All clinical inputs of the transformer; None takes those that `ablations`
        name. An input that is in neither stays as it is in every one.
    estimator : Pipeline, ColumnTransformer or None, default=None
        What will be searched; where it is given, each ablation is checked against it before
        anything is fitted, see `ablation_table`.

    Returns
    -------
    list of dict
        One grid an ablation, in their order.

    Raises
    ------
    ValueError
        If `ablations` is empty, or two of them use the same inputs; if one uses an input that
        `estimator` does not have, or that is "drop" in it.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", Table 1.

    Examples
    --------
    >>> from skosfusion import ablation_param_grid
    >>> ablation_param_grid({"Image": (), "Age": ("age",)})
    [{'clinical__age': ['drop']}, {}]
    """
    ablations = _check_ablations(ablations)
    prefix = "" if step is None else f"{step}__"
    inputs = list(dict.fromkeys([*_all_inputs(ablations), *(inputs or ())]))
    grid = [
        {f"{prefix}{name}": ["drop"] for name in inputs if name not in used}
        for used in ablations.values()
    ]
    states = _inputs_in(estimator, step)
    if states is not None:
        for (name, used), point in zip(ablations.items(), grid, strict=True):
            _inputs_on(states, name, used, dict.fromkeys(point, "drop"), prefix)
    return grid


def ablation_table(search, ablations=None, *, step="clinical", estimator=None):
    """Arrange a searched ablation as a table, one row for each ablation, as the paper's Table 1.

    Parameters
    ----------
    search : GridSearchCV or dict
        A fitted search over `ablation_param_grid`, or its ``cv_results_``.
    ablations : dict of str to tuple of str or None, default=None
        Those that were searched; None takes `ABLATIONS`.
    step : str or None, default="clinical"
        As in `ablation_param_grid`.
    estimator : Pipeline, ColumnTransformer or None, default=None
        What was searched; None takes ``search.estimator``. ``cv_results_`` alone do not say what
        was switched on or off beside them: give the estimator, too, and a row is checked.

    Returns
    -------
    DataFrame
        Indexed by their names ("row"), in the order searched. Column "inputs" lists all
        clinical inputs that were on beside the image, those that no ablation names, too, where
        the estimator is known; for each metric, a column of its mean
        over the folds and, with the ending "_std", of its standard deviation
        (population formula, as in ``cv_results_``).

    Raises
    ------
    ValueError
        If a grid point is none of the `ablations`, or two are the same one; if a row names an
        input that was "drop" in the estimator, or that it does not have, so that the row's figures
        are those of another.

    Examples
    --------
    >>> from skosfusion import ablation_table
    >>> results = {
    ...     "params": [{"clinical__age": "drop"}, {}],
    ...     "mean_test_accuracy": [0.90, 0.95],
    ...     "std_test_accuracy": [0.02, 0.01],
    ... }
    >>> table = ablation_table(results, {"Image": (), "Age": ("age",)})
    >>> table["inputs"].tolist(), table["accuracy"].tolist()
    (['none', 'age'], [0.9, 0.95])
    """
    ablations = _check_ablations(ablations)
    results = search if isinstance(search, Mapping) else search.cv_results_
    states = _inputs_in(estimator, step, search)
    prefix = "" if step is None else f"{step}__"
    inputs = _all_inputs(ablations)
    names = {frozenset(used): name for name, used in ablations.items()}
    lines = []
    for params in results["params"]:
        used = [name for name in inputs if not _is_drop(params.get(f"{prefix}{name}"))]
        if frozenset(used) not in names:
            raise ValueError(
                f"the search holds a grid point with the inputs {used}, which is none of the "
                f"ablations {dict(ablations)}; pass those that ablation_param_grid was given"
            )
        name = names[frozenset(used)]
        if any(line["row"] == name for line in lines):
            raise ValueError(
                f"the search holds ablation {name!r} more than once; search over nothing but the "
                "inputs"
            )
        on = ablations[name]
        if states is not None:
            on = _inputs_on(states, name, on, params, prefix)
        lines.append({"row": name, "inputs": ", ".join(on) or "none"})
    table = pd.DataFrame(lines).set_index("row")
    for key in results:
        if key.startswith("mean_test_"):
            metric = key.removeprefix("mean_test_")
            table[metric] = list(results[key])
            table[f"{metric}_std"] = list(results[f"std_test_{metric}"])
    return table


def _inputs_in(estimator, step, search=None):
    """Return what is set for each clinical input beside a grid; None where it is not known."""
    if estimator is None:
        estimator = getattr(search, "estimator", None)
    else:
        search = None
    transformer = _transformer(estimator, step)
    if transformer is None:
        return None
    states = _states(transformer, estimator)
    # Who searched may have changed the estimator since; of its best copy only the grid's is new.
    best = _transformer(getattr(search, "best_estimator_", None), step)
    if best is not None:
        prefix = "" if step is None else f"{step}__"
        now = _states(best, search.best_estimator_)
        fixed = {name for name in now if f"{prefix}{name}" not in search.best_params_}
        states |= {name: now[name] for name in fixed}
    return states


def _transformer(estimator, step):
    if estimator is not None and step is not None:
        estimator = estimator.get_params().get(step)
    return estimator if isinstance(estimator, ColumnTransformer) else None


def _states(transformer, estimator):
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else None
    image = getattr(last, "image_column", None) or "image"
    return {
        name: state
        for name, state, columns in transformer.transformers
        if name != "image" and not (isinstance(columns, str | list) and _is_image(columns, image))
    }


def _is_image(columns, image):
    columns = [columns] if isinstance(columns, str) else columns
    return len(columns) == 1 and columns[0] in (image, str(image).partition("__")[2])


def _inputs_on(states, ablation, used, params, prefix):
    """List the clinical inputs that an ablation had; one that it names and lacks is an error."""
    states = {name: params.get(f"{prefix}{name}", state) for name, state in states.items()}
    for name in used:
        if name not in states:
            raise ValueError(
                f"ablation {ablation!r} uses {name!r}, which is not an input of the searched "
                f"ColumnTransformer; its inputs are {', '.join(map(repr, states))}"
            )
        if _is_drop(states[name]):
            raise ValueError(
                f"ablation {ablation!r} uses {name!r}, which is 'drop' in the estimator that was "
                f"searched, so its figures are without {name!r}. Search an estimator in which "
                "all inputs are on, such as a new make_fusion_pipeline(), or leave "
                f"{name!r} out of the ablations"
            )
    others = [name for name in states if name not in used and not _is_drop(states[name])]
    return [*used, *others]


def _is_drop(value):
    return isinstance(value, str) and value == "drop"


def _check_ablations(ablations):
    ablations = ABLATIONS if ablations is None else ablations
    if not ablations:
        raise ValueError("ablations is empty; name at least one, such as {'Baseline': ()}")
    seen = {}
    for name, used in ablations.items():
        if isinstance(used, str):
            raise ValueError(
                f"ablation {name!r} names its inputs as the text {used!r}; use a tuple"
            )
        twin = seen.setdefault(frozenset(used), name)
        if twin != name:
            raise ValueError(f"ablations {twin!r} and {name!r} use the same inputs {tuple(used)}")
    return ablations


def _all_inputs(ablations):
    return list(dict.fromkeys(name for used in ablations.values() for name in used))
