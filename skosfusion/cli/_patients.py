"""What patients, not images, say: intervals, comparators and the report."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..classifier import ImageEncoder
from ..evaluation import audit_shortcuts, evaluate_scores
from ..exceptions import ShortcutWarning
from ..model_selection import CLINICAL_ONLY
from ..report import write_report
from ._units import METRICS

_OF_ENCODER = (
    "backbone", "weights", "image_size", "image_options", "precision", "device", "random_state",
    "memory", "engine",
)  # fmt: skip


def comparators(pipeline, rows):
    """Return rows beside the ablation: clinical values alone, and logistic regression."""
    clinical, classifier = pipeline["clinical"], pipeline["classifier"]
    options = {name: getattr(classifier, name) for name in _OF_ENCODER}
    encoder = ImageEncoder(**options)
    logistic = make_pipeline(
        clone(clinical),
        make_column_transformer((encoder, ["image"]), remainder="passthrough"),
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1000),
    )
    logistic = {"Logistic regression": logistic}
    return {"Clinical only": CLINICAL_ONLY, **logistic} if any(rows.values()) else logistic


def add_comparators(table, result, cohort, folds):
    """Add the comparators and the larger class to the table of the ablation."""
    lines = {
        row: found
        for row, found in result.metrics.groupby("row", sort=False)[list(METRICS)]
        if row not in table.index
    }
    lines["Majority class"] = pd.DataFrame(_majority(cohort.target, fold) for fold in folds)
    counts = {name: table[name].iloc[0] for name in ("n_patients", "n_images")}
    added = pd.DataFrame(
        {
            row: counts | {m: found[m].mean() for m in METRICS}
            | {f"{m}_std": found[m].std(ddof=0) for m in METRICS}
            for row, found in lines.items()
        }
    ).T  # fmt: skip
    types = {name: table[name].dtype for name in added if name in table}
    longer = table.reindex([*table.index, *added.index])
    longer.loc[added.index, added.columns] = added
    return longer.astype(types).rename_axis(table.index.name)


def _majority(y, fold):
    train, test = fold
    said = DummyClassifier().fit(y[train, None], y[train]).predict(y[test, None])
    rates = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    found = {name: rate(y[test], said, zero_division=0) for name, rate in rates.items()}
    return {"accuracy": accuracy_score(y[test], said)} | found


def evaluate(result, rows, options, output):
    """Evaluate by patient; None where folds part patients, or scores are refused."""
    if options.image_wise:
        return None
    alone = [name for name, inputs in rows.items() if not inputs]
    try:
        return evaluate_scores(
            result.y,
            result.scores,
            groups=result.groups,
            fold=result.fold,
            metrics=None if options.report else ["auc"],
            label_rule="any" if options.label_conflicts == "keep" else None,
            baseline=(alone or list(rows))[0],
            random_state=options.seed,
        )
    except ValueError as error:
        # After a few epochs, log-odds may lie where probabilities do; the rest is not lost.
        output.say(f"no figures by patient: {error}")
        return None


def figures(evaluation):
    """Arrange AUC and its difference from the baseline, with intervals, as a table."""
    names = ["auc", "auc_low", "auc_high"]
    table = evaluation.table[names]
    if len(evaluation.differences):
        differences = evaluation.differences.xs("auc", level="metric")
        columns = ["difference", "low", "high", "low_training", "high_training", "verdict"]
        table = table.join(differences[columns])
    return table


def format_figures(table):
    """Write the figures for people."""
    shown = pd.DataFrame(index=table.index.rename(None))
    parts = {"AUC": ("auc", "auc_low", "auc_high", ".4f")}
    if "verdict" in table:
        parts["difference"] = "difference", "low", "high", "+.4f"
        parts["with training"] = None, "low_training", "high_training", "+.4f"
    for name, (value, low, high, form) in parts.items():
        texts = []
        for _, line in table.iterrows():
            middle = "" if value is None or np.isnan(line[value]) else f"{line[value]:{form}} "
            ends = line[[low, high]].astype(float)
            interval = f"[{ends[low]:{form}}, {ends[high]:{form}}]" if ends.notna().all() else ""
            texts.append(f"{middle}{interval}".strip())
        shown[name] = texts
    if "verdict" in table:
        shown["verdict"] = table["verdict"].fillna("")
    return shown.to_string()


def write_cohort_report(folder, evaluation, cohort, leakage, folds, settings, *, random_state=0):
    """Write the report, with an audit of shortcuts; return its files."""
    return write_report(
        folder,
        evaluation,
        cohort=cohort,
        leakage=leakage,
        shortcuts=_shortcuts(cohort, folds, random_state),
        settings=settings,
    )


def _shortcuts(cohort, folds, seed):
    with warnings.catch_warnings():
        # The report says what is warned of.
        warnings.simplefilter("ignore", ShortcutWarning)
        return audit_shortcuts(
            cohort.frame, cohort.target, groups=cohort.groups, cv=folds, random_state=seed
        )
