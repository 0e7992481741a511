"""What is measured of models that explain only rows which they have not been trained on."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import cross_validate
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skosfusion import (
    GradCAM,
    ablation_param_grid,
    boxes_on_heatmaps,
    clinical_gradients,
    localization_scores,
    modality_importance,
)

# Leaves the weights as they were drawn: added to them, a step of this size is lost in rounding.
_NO_LEARNING_RATE = 1e-30
_MAPS_AT_A_TIME = 256


def fit(prepared, n_jobs):
    """Fit each row's model on each fold."""
    cohort, results = prepared.cohort, {}
    for (name, _), point in zip(
        prepared.rows.items(), ablation_param_grid(prepared.rows), strict=True
    ):
        print(f"fitting {name} on {len(prepared.folds)} folds", flush=True)
        model = clone(prepared.pipeline)
        model.set_params(**{key: values[0] for key, values in point.items()})
        results[name] = cross_validate(
            model,
            cohort.data,
            cohort.target,
            cv=prepared.folds,
            n_jobs=n_jobs,
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    return results


def accuracies(results):
    """Give mean and standard deviation of the accuracy over the folds."""
    scores = {name: result["test_score"] for name, result in results.items()}
    return {name: (float(s.mean()), float(s.std())) for name, s in scores.items()}


def localization(prepared, results, options):
    """Compare the heatmaps of all rows with a box with that box."""
    cohort, found = prepared.cohort, {}
    has_box = ~np.isnan(cohort.tumor_boxes).any(axis=1)
    for name, result in results.items():
        parts = []
        folds = zip(result["estimator"], result["indices"]["test"], strict=True)
        for estimator, test in tqdm(list(folds), desc=f"explaining {name}", unit="fold"):
            parts.append(_compare(estimator, cohort, test[has_box[test]], options))
        found[name] = pd.concat(parts)
    return found


def random_localization(prepared, options):
    """Compare the heatmaps of models with random weights, encoder and head, with the boxes."""
    cohort = prepared.cohort
    rows = np.flatnonzero(~np.isnan(cohort.tumor_boxes).any(axis=1))
    # A few rows of each class tell the model how many inputs and classes there are.
    few = np.concatenate([np.flatnonzero(cohort.target == label)[:8] for label in (0, 1)])
    found = []
    for seed in tqdm(range(options.random_models), desc="random weights", unit="model"):
        model = clone(prepared.pipeline).set_params(
            classifier__weights=None,
            classifier__frozen_epochs="all",
            classifier__max_epochs=1,
            classifier__lr=_NO_LEARNING_RATE,
            classifier__random_state=seed,
        )
        model.fit(cohort.data.iloc[few], cohort.target[few])
        found.append(_compare(model, cohort, rows, options))
    return found


def _compare(model, cohort, rows, options):
    explain = GradCAM(model, target=1, layer=options.layer, method=options.method)
    parts = []
    for part in np.array_split(rows, max(1, -(-len(rows) // _MAPS_AT_A_TIME))):
        table = cohort.data.iloc[part]
        boxes = boxes_on_heatmaps(model, table, cohort.tumor_boxes[part])
        scores = localization_scores(explain.transform(table), boxes)
        parts.append(pd.DataFrame(dict(scores), index=part))
    return pd.concat(parts)


def gradients(prepared, result):
    """Differentiate the score of the positive class for all held-out rows."""
    cohort, parts = prepared.cohort, []
    for estimator, test in zip(result["estimator"], result["indices"]["test"], strict=True):
        parts.append(clinical_gradients(estimator, cohort.data.iloc[test], target=1))
    importances = np.concatenate([part.importances for part in parts])
    magnitudes = np.abs(importances).mean(axis=0)
    names = parts[0].feature_names
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = pd.DataFrame(magnitudes[:, None] / magnitudes, names, names)
    return Bunch(
        importances=importances,
        importances_mean=importances.mean(axis=0),
        importances_std=importances.std(axis=0),
        magnitudes_mean=magnitudes,
        ratios=ratios,
        feature_names=names,
        fold_ratios=[part.ratios for part in parts],
    )


def modalities(prepared, result, seed):
    """Permute each kind of input among the patients of each held-out fold."""
    cohort, parts = prepared.cohort, []
    for estimator, test in zip(result["estimator"], result["indices"]["test"], strict=True):
        found = modality_importance(
            estimator,
            cohort.data.iloc[test],
            cohort.target[test],
            groups=cohort.groups[test],
            random_state=seed,
        )
        parts.append(pd.Series(found.importances_mean, found.modality_names))
    table = pd.DataFrame(parts)
    return pd.DataFrame({"mean": table.mean(), "std": table.std(ddof=0)})
