"""Methods that were fitted on complete rows, on rows of which a modality is missing."""

import warnings

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import folds, statistics
from .methods import Task, of_ours
from .prepared import prepare

_ZERO = {"missing_images": "zero"}
#: What is compared, the first with each other one.
METHODS = {
    "gated": {"encoding": "spline", "fusion": "gated"} | _ZERO,
    "concat, paper": _ZERO,
    "concat, spline": {"encoding": "spline"} | _ZERO,
    "robust": {"recipe": "robust", "encoding": "spline"} | _ZERO,
}


def compare(data_set, encoder, options):
    """Return log loss, and the differences to gated fusion, by what is missing and method."""
    prepare(data_set, encoder, options, {})
    data_set.X = data_set.data
    assigned = folds.assign(
        data_set.target,
        data_set.groups,
        n_folds=options.folds,
        n_repeats=options.repeats,
        seed=options.seed,
    )
    laboratory = [kit[0] for kit in data_set.kits.values()]
    tables = {
        "nothing": data_set.X,
        "image": data_set.X.assign(image=np.nan),
        "laboratory": data_set.X.assign(**dict.fromkeys(laboratory, np.nan)),
    }
    scores = {(gap, name): np.empty(assigned.shape) for gap in tables for name in METHODS}
    with tqdm(total=len(METHODS) * options.repeats * options.folds, unit="fit") as bar:
        for name, keywords in METHODS.items():
            bar.set_description(name)
            for repeat, fold in enumerate(assigned):
                for number in np.unique(fold):
                    test = fold == number
                    estimator = _fitted(data_set, ~test, keywords)
                    for gap, table in tables.items():
                        scores[gap, name][repeat, test] = folds.log_odds(estimator, table[test])
                    bar.update()
    return _table(data_set, assigned, scores, options)


def _fitted(data_set, train, keywords):
    X, y = data_set.X[train], data_set.target[train]
    inputs = tuple(name for name in data_set.inputs if X[name].notna().any())
    task = Task(inputs=inputs, kits=data_set.kits, model=data_set.model, inner=[])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return of_ours("fusion", keywords)(task).fit(X, y)


def _table(data_set, assigned, scores, options):
    reference, *_ = METHODS
    lines = []
    for gap in dict.fromkeys(gap for gap, _ in scores):
        found = statistics.compare(
            data_set.target,
            np.unique(data_set.groups, return_inverse=True)[1],
            assigned,
            {name: scores[gap, name] for name in METHODS},
            reference,
            n_draws=options.draws,
            seed=options.seed,
        )
        for name, line in found.items():
            ahead = [-line[f"log_loss_difference{end}"] for end in ("", "_high", "_low")]
            lines.append(
                {
                    "missing": gap,
                    "method": name,
                    "log loss": round(line["log_loss"], 4),
                    "gated minus this": "{:+.4f} [{:+.4f}, {:+.4f}]".format(*ahead),
                    "AUC": round(line["auc"], 3),
                }
            )
    table = pd.DataFrame(lines).set_index(["missing", "method"])
    table.loc[(slice(None), reference), "gated minus this"] = ""
    return table
