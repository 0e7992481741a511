"""The paper's ablation as plain model selection over "drop"."""

from collections.abc import Mapping

import pandas as pd

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


def ablation_param_grid(ablations=None, *, step="clinical", inputs=None):
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
        name. An input that is in neither stays on in every one.

    Returns
    -------
    list of dict
        One grid an ablation, in their order.

    Raises
    ------
    ValueError
        If `ablations` is empty, or two of them use the same inputs.

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
    return [
        {f"{prefix}{name}": ["drop"] for name in inputs if name not in used}
        for used in ablations.values()
    ]


def ablation_table(search, ablations=None, *, step="clinical"):
    """Arrange a searched ablation as a table, one row for each ablation, as the paper's Table 1.

    Parameters
    ----------
    search : GridSearchCV or dict
        A fitted search over `ablation_param_grid`, or its ``cv_results_``.
    ablations : dict of str to tuple of str or None, default=None
        Those that were searched; None takes `ABLATIONS`.
    step : str or None, default="clinical"
        As in `ablation_param_grid`.

    Returns
    -------
    DataFrame
        Indexed by their names ("row"), in the order searched. Column "inputs" lists the
        clinical inputs beside the image; for each metric, a column of its mean
        over the folds and, with the ending "_std", of its standard deviation
        (population formula, as in ``cv_results_``).

    Raises
    ------
    ValueError
        If a grid point is none of the `ablations`, or two are the same one.

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
        lines.append({"row": name, "inputs": ", ".join(ablations[name]) or "none"})
    table = pd.DataFrame(lines).set_index("row")
    for key in results:
        if key.startswith("mean_test_"):
            metric = key.removeprefix("mean_test_")
            table[metric] = list(results[key])
            table[f"{metric}_std"] = list(results[f"std_test_{metric}"])
    return table


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
