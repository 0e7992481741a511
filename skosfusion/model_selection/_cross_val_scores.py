"""Scores of each sample by models that have not seen it: all rows, under the same folds."""

import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.model_selection import cross_validate
from sklearn.utils import Bunch, check_consistent_length

from .._utils.groups import codes_of, complete_column
from .._utils.identity import shown_spellings
from .._utils.log_odds import LogOdds
from .._utils.progress import progress_bar
from .._utils.validation import check_integer, check_parameter
from ..exceptions import LeakageWarning
from ._folds import patients_of
from ._look_alikes import patient_spellings
from ._repeats import fold_of_each, leaking_groups, make_repeats
from ._response import METRICS, ScoreKeeper, scorers
from ._rows import make_rows
from ._score_files import ScoreFiles, versions


def cross_val_scores(
    estimator,
    X,
    y,
    ablations=None,
    *,
    groups,
    cv=None,
    n_repeats=1,
    step="clinical",
    params=None,
    allow_leaks=False,
    n_jobs=None,
    progress=None,
    folder=None,
    random_state=None,
):
    """Give each sample a score by a model that has not seen it, for each ablation.

    Each row of a table of models is fitted on the same folds by scikit-learn's ``cross_validate``,
    and the log-odds of the samples left out are kept: statistics of patients, thresholds,
    differences and calibration can then be had without fitting anything again.

    Parameters
    ----------
    estimator : Pipeline or classifier
        What is fitted, such as ``make_fusion_pipeline()``; it is cloned.
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        What `estimator` is fitted on.
    y : array-like of shape (n_samples,)
        Labels; the second of two, in sorted order, is the positive class.
    ablations : dict or None, default=None
        The rows: name to clinical inputs beside the image (a tuple, see `ablation_param_grid`), to
        parameters that are set (a dict, such as `CLINICAL_ONLY` or `CLASS_WEIGHTED`, or ``{}`` for
        the estimator as it is), or to another estimator that is fitted on the same folds. None
        takes `ABLATIONS`.
    groups : array-like of shape (n_samples,) or None
        Patient of each sample, which must be said. None: column ``patient_id`` of `X` where there
        is one, else each sample is a patient.
    cv : int, splitter, iterable or None, default=None
        Number of folds (None is 5), which are stratified, shuffled and keep patients together; a
        splitter; or folds. Each sample must be tested exactly once.
    n_repeats : int, default=1
        How often all is done, each time with other folds.
    step : str or None, default="clinical"
        As in `ablation_param_grid`.
    params : dict or None, default=None
        Parameters of `fit`, as in ``cross_validate``, such as ``{"classifier__groups": groups}``;
        not for rows that are other estimators.
    allow_leaks : bool, default=False
        Whether folds may have a patient in both the training and the test set.
    n_jobs : int or None, default=None
        Number of fits at the same time, as in joblib.
    progress : callable or None, default=None
        Called with the numbers of fits that are done and of all, after each. None shows a bar if
        the work takes more than three seconds.
    folder : str, path-like or None, default=None
        Where each finished fit is kept, so that the same call goes on after an interruption. What
        is kept is known by the data, files that it names, parameters, folds and versions.
        Without an integer as `random_state`, or folds, each call has other folds.
    random_state : int, RandomState instance or None, default=None
        Decides the folds that are shuffled here: those of an int or None, and all where
        `n_repeats` is above 1. Fits follow the estimator's own.

    Returns
    -------
    sklearn.utils.Bunch
        scores : dict of str to ndarray
            Row to scores, float64: what ``decision_function`` gives, for `FusionClassifier` natural
            log-odds. Two classes: shape (n_samples, n_repeats), of ``classes[1]``. More: shape
            (n_samples, n_classes, n_repeats). For an estimator without it, log-odds of its
            probabilities (more classes: their logarithms), which are raised to the least relative
            distance of two numbers of their type; ``settings["n_clipped"]`` counts these samples.
        fold : ndarray of shape (n_samples, n_repeats)
            Fold that tested each sample, from 0.
        y, groups : ndarray of shape (n_samples,)
            Labels and patients.
        classes : ndarray of shape (n_classes,)
            The labels, sorted.
        metrics : DataFrame
            Accuracy, precision, recall and F1, from 0 to 1, for each "row", "repeat" and "fold",
            over the samples of a fold; those of more than two classes are macro averages.
        cv_results : dict
            The same of the rows that name their inputs, as ``GridSearchCV`` has it, for
            `ablation_table`; the folds of all repeats one after the other.
        settings : dict
            What was done, with versions, in values that JSON takes; ``"engine"`` names what
            encoded images, see `FusionClassifier`.
        DESCR : str
            The same for people.

    Raises
    ------
    ValueError
        For labels of one class; folds that test a sample never or twice, or train on what they
        test, or that part a patient without `allow_leaks`; a fold without some class; a score that
        is not finite, with its row; parameters of which `folder` cannot tell whether they changed.
    TypeError
        For a row that is no inputs, parameters or estimator, or an estimator without scores.

    Warns
    -----
    LeakageWarning
        For patients that are the same but for spelling, such as "7" and "7 ", where a fold trains
        on one and tests the other.

    See Also
    --------
    validate_by_site : Sites left out in turn.
    ablation_table : The metrics as a table.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skosfusion import cross_val_scores
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = LogisticRegression(solver="liblinear")
    >>> rows = {"C=1": {}, "C=0.01": {"C": 0.01}}
    >>> result = cross_val_scores(model, X, y, rows, groups=None, random_state=0)
    >>> result.scores["C=1"].shape
    (569, 1)
    """
    check_integer("n_repeats", n_repeats, minimum=1)
    check_parameter("allow_leaks", allow_leaks, isinstance(allow_leaks, bool), "True or False")
    check_parameter(
        "progress", progress, progress is None or callable(progress), "a function or None"
    )
    check_consistent_length(X, y, groups)
    X = _sliceable(X)
    y = complete_column(y, "label")
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"y holds the one label {classes.tolist()[0]!r}; two or more are needed")
    patients = patients_of(
        X if hasattr(X, "columns") else pd.DataFrame(index=range(len(y))), groups
    )
    codes, known = codes_of(patients, "patient")
    rows = make_rows(estimator, ablations, step)
    repeats, seeds = make_repeats(
        cv, X, y, patients, codes, n_repeats=n_repeats, random_state=random_state
    )
    fold = np.column_stack([fold_of_each(folds, len(y)) for folds in repeats])
    n_leaking = leaking_groups(repeats, codes, allow_leaks=allow_leaks)
    _warn_of_spellings(codes, known, repeats)

    units = [
        (row, repeat, number)
        for row in range(len(rows))
        for repeat, folds in enumerate(repeats)
        for number in range(len(folds))
    ]
    files = None if folder is None else ScoreFiles(folder, X, y, len(classes))
    names, done = {}, {}
    for unit in units if files else ():
        row, repeat, number = unit
        names[unit] = files.name(rows[row].estimator, repeats[repeat][number], params)
        kept = files.read(names[unit], len(repeats[repeat][number][1]))
        if kept is not None:
            done[unit] = kept
    todo = [unit for unit in units if unit not in done]
    tasks = (
        delayed(_fit_one)(unit, rows[unit[0]], X, y, repeats[unit[1]][unit[2]], classes, params)
        for unit in todo
    )
    with progress_bar(
        total=len(units), initial=len(done), shown=progress is None, desc="fitting", unit="fit"
    ) as bar:
        for unit, result in Parallel(n_jobs, return_as="generator_unordered")(tasks):
            if files:
                files.write(names[unit], result)
            done[unit] = result
            bar.update()
            if progress is not None:
                progress(len(done), len(units))

    settings = {
        "rows": {row.name: row.described() for row in rows},
        "estimator": repr(estimator),
        "n_repeats": int(n_repeats),
        "n_folds": [len(folds) for folds in repeats],
        "seeds": seeds,
        "n_patients": int(codes.max() + 1),
        "patients_known": bool(groups is not None or codes.max() + 1 < len(codes)),
        "leaking_patients": n_leaking,
        "n_clipped": {
            row.name: sum(done[unit]["n_clipped"] for unit in units if unit[0] == number)
            for number, row in enumerate(rows)
        },
        "versions": versions(),
    }
    engines = sorted({result["engine"] for result in done.values()} - {None})
    if engines:
        settings["engine"] = ", ".join(engines)
    return Bunch(
        scores=_scores(rows, repeats, done, classes, len(y)),
        fold=fold,
        y=y,
        groups=patients,
        classes=classes,
        metrics=pd.DataFrame(
            {"row": rows[row].name, "repeat": repeat, "fold": number}
            | {metric: done[row, repeat, number][metric] for metric in METRICS}
            for row, repeat, number in units
        ),
        cv_results=_cv_results(rows, units, done),
        settings=settings,
        DESCR=_describe(settings, len(y), classes),
    )


def _sliceable(X):
    """Return a table of which rows can be taken; a sparse matrix of another form as CSR."""
    return X.tocsr() if sparse.issparse(X) else X


def _warn_of_spellings(codes, known, repeats):
    """Warn of patients that are the same but for spelling, on both sides of a fold."""
    pairs = patient_spellings(codes, known, [fold for folds in repeats for fold in folds])
    pairs = pairs[pairs["in_both"]]
    if len(pairs):
        named = shown_spellings(list(zip(pairs["patient"], pairs["other"], strict=True)))
        warnings.warn(
            f"patients are the same but for spelling, count as different ones, and are in both the "
            f"training and the test set: {named}; where they are one patient, write the record "
            "number in one way in groups, or scores are too good",
            LeakageWarning,
            stacklevel=3,
        )


def _fit_one(unit, row, X, y, fold, classes, params):
    """Fit one row on one fold, and return its metrics and the log-odds of the fold's test set."""
    keeper = ScoreKeeper(classes)
    given = row.params is not None
    results = cross_validate(
        row.estimator, X, y, cv=[fold], scoring=scorers(classes, keeper), n_jobs=1,
        params=params if given else None, error_score="raise",
    )  # fmt: skip
    bad = ~np.isfinite(keeper.scores).reshape(len(fold[1]), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"row {row.name!r} gives a score that is not finite for sample {fold[1][bad][0]}; look "
            "for extreme values there, or use an estimator with finite log-odds"
        )
    result = {metric: float(results[f"test_{metric}"][0]) for metric in METRICS}
    n_clipped = int(results["test_n_clipped"][0])
    return unit, result | {
        "n_clipped": n_clipped, "engine": keeper.engine, "scores": keeper.scores,
    }  # fmt: skip


def _scores(rows, repeats, done, classes, n_samples):
    width = () if len(classes) == 2 else (len(classes),)
    shape = n_samples, *width, len(repeats)
    scores = LogOdds({row.name: np.full(shape, np.nan) for row in rows})
    for (row, repeat, number), result in done.items():
        test = repeats[repeat][number][1]
        scores[rows[row].name][test, ..., repeat] = result["scores"]
    return scores


def _cv_results(rows, units, done):
    """Arrange the metrics of the ablations as ``GridSearchCV`` does."""
    ablations = [number for number, row in enumerate(rows) if row.is_ablation]
    results = {"params": [rows[number].params for number in ablations]}
    for metric in METRICS if ablations else ():
        table = np.array(
            [[done[unit][metric] for unit in units if unit[0] == row] for row in ablations]
        )
        for split, values in enumerate(table.T):
            results[f"split{split}_test_{metric}"] = values.copy()
        results[f"mean_test_{metric}"] = table.mean(axis=1)
        results[f"std_test_{metric}"] = table.std(axis=1)
    return results


def _describe(settings, n_samples, classes):
    n_folds = sorted(set(settings["n_folds"]))
    lines = [
        f"Scores out of fold of {n_samples} samples of {settings['n_patients']} patients, classes "
        f"{', '.join(map(str, classes))}; rows: {', '.join(settings['rows'])}.",
        f"{' or '.join(map(str, n_folds))} folds, {settings['n_repeats']} repeats; each sample is "
        "tested once a repeat.",
    ]
    if settings["leaking_patients"]:
        lines.append(
            f"THIS LEAKS: {settings['leaking_patients']} patients are in both the training and the "
            "test set of a fold, so the scores are too good."
        )
    elif settings["patients_known"]:
        lines.append("No patient is in both the training and the test set of a fold.")
    else:
        lines.append("No patients were given: each sample counts as one, and may not be.")
    for name, n_clipped in settings["n_clipped"].items():
        if n_clipped:
            lines.append(f"{name}: a probability of 0 was raised in {n_clipped} samples.")
    return "\n".join(lines) + "\n"
