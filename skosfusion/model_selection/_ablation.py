"""The paper's ablation as plain model selection over "drop"."""

from collections.abc import Mapping

import pandas as pd

#: The eight rows of the paper's Table 1: row name to the clinical inputs beside the image.
ABLATION_ROWS = {
    "Baseline": (),
    "Gender": ("gender",),
    "Age": ("age",),
    "Gender & age": ("gender", "age"),
    "LDH": ("ldh",),
    "ALP": ("alp",),
    "ALP & LDH": ("alp", "ldh"),
    "All": ("gender", "age", "alp", "ldh"),
}


def ablation_param_grid(rows=None, *, step="clinical", inputs=None):
    """Write an ablation as a parameter grid for ``GridSearchCV``.

    Each row becomes one grid point that sets the inputs it does without to
    "drop", which is how a ColumnTransformer switches a column off.

    Parameters
    ----------
    rows : dict of str to tuple of str or None, default=None
        Row name to the clinical inputs that it uses; None takes `ABLATION_ROWS`.
    step : str or None, default="clinical"
        Name of the ColumnTransformer in the pipeline; None if it is searched itself.
    inputs : list of str or None, default=None
        All clinical inputs of the transformer; None takes those that `rows` name. An
        input that is in neither stays on in every row.

    Returns
    -------
    list of dict
        One grid a row, in the order of `rows`.

    Raises
    ------
    ValueError
        If `rows` is empty, or two rows use the same inputs.

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
    rows = _check_rows(rows)
    prefix = "" if step is None else f"{step}__"
    inputs = list(dict.fromkeys([*_all_inputs(rows), *(inputs or ())]))
    return [
        {f"{prefix}{name}": ["drop"] for name in inputs if name not in used}
        for used in rows.values()
    ]


def ablation_table(search, rows=None, *, step="clinical"):
    """Arrange a searched ablation as a table, one line a row of the paper's Table 1.

    Parameters
    ----------
    search : GridSearchCV or dict
        A fitted search over `ablation_param_grid`, or its ``cv_results_``.
    rows : dict of str to tuple of str or None, default=None
        The rows that were searched; None takes `ABLATION_ROWS`.
    step : str or None, default="clinical"
        As in `ablation_param_grid`.

    Returns
    -------
    DataFrame
        Indexed by row name ("row"), in the order searched. Column "inputs" lists the
        clinical inputs beside the image; for each metric, a column of its mean
        over the folds and, with the ending "_std", of its standard deviation
        (population formula, as in ``cv_results_``).

    Raises
    ------
    ValueError
        If a grid point is none of the `rows`, or two are the same one.

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
    rows = _check_rows(rows)
    results = search if isinstance(search, Mapping) else search.cv_results_
    prefix = "" if step is None else f"{step}__"
    inputs = _all_inputs(rows)
    names = {frozenset(used): name for name, used in rows.items()}
    lines = []
    for params in results["params"]:
        used = [name for name in inputs if not _is_drop(params.get(f"{prefix}{name}"))]
        if frozenset(used) not in names:
            raise ValueError(
                f"the search holds a grid point with the inputs {used}, which is none of the rows "
                f"{dict(rows)}; pass the rows that ablation_param_grid was given"
            )
        name = names[frozenset(used)]
        if any(line["row"] == name for line in lines):
            raise ValueError(
                f"the search holds row {name!r} more than once; search over nothing but the inputs"
            )
        lines.append({"row": name, "inputs": ", ".join(rows[name]) or "none"})
    table = pd.DataFrame(lines).set_index("row")
    for key in results:
        if key.startswith("mean_test_"):
            metric = key.removeprefix("mean_test_")
            table[metric] = list(results[key])
            table[f"{metric}_std"] = list(results[f"std_test_{metric}"])
    return table


def _is_drop(value):
    return isinstance(value, str) and value == "drop"


def _check_rows(rows):
    rows = ABLATION_ROWS if rows is None else rows
    if not rows:
        raise ValueError("rows is empty; name at least one, such as {'Baseline': ()}")
    seen = {}
    for name, used in rows.items():
        if isinstance(used, str):
            raise ValueError(f"row {name!r} names its inputs as the text {used!r}; use a tuple")
        twin = seen.setdefault(frozenset(used), name)
        if twin != name:
            raise ValueError(f"rows {twin!r} and {name!r} use the same inputs {tuple(used)}")
    return rows


def _all_inputs(rows):
    return list(dict.fromkeys(name for used in rows.values() for name in used))
