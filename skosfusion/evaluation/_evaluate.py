"""Metrics of out-of-fold log-odds by patient, with intervals and paired differences."""

import pandas as pd

from .._utils.validation import check_choice, check_integer, check_parameter, did_you_mean
from ._differences import compare_rows, declared_test
from ._evaluation import Evaluation
from ._figures import figures_by_fold, replicate
from ._inputs import check_images
from ._metrics import choose_metrics
from ._notes import (
    notes_on_constant_rows,
    notes_on_part,
    notes_on_scores,
    notes_on_units,
    warn_of_constant_rows,
)
from ._parts import ALL, COMPLETE, parts_of
from ._patients import check_rule, join_patients
from ._resampling import Draws
from ._tables import counts_of, replicates_of, subgroup_table, table_of
from ._thresholds import all_thresholds, check_threshold


def evaluate_scores(
    y, scores, *, groups, fold, unit="patient", metrics=None, threshold=0.5, subgroups=None,
    baseline=None, declared=None, imputed=None, patient_rule="mean_logit", label_rule=None,
    are_log_odds=False, n_resamples=2000, confidence_level=0.95, random_state=None,
):  # fmt: skip
    """Evaluate out-of-fold log-odds by patient, with intervals, differences and calibration.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Label of each image. The second label in their order is the positive class.
    scores : dict of str to array-like, or array-like
        Log-odds of each row, out of fold, such as `scores` of ``cross_val_scores``. Two classes:
        shape (n_samples,) or (n_samples, n_repeats); more: (n_samples, n_classes) or
        (n_samples, n_classes, n_repeats). One array is a row called "model".
    groups : array-like of shape (n_samples,) or None
        The patient of each image; None if each image is of another patient.
    fold : array-like of shape (n_samples,) or (n_samples, n_repeats), or None
        The fold in which each image was tested; None for one test set.
    unit : {"patient", "image"}, default="patient"
        What metrics are taken over. Intervals resample patients in both cases.
    metrics : list of str or callable, default=None
        None for all of ours. Else names of ours, of scikit-learn's scorers, or callables
        ``metric(y, score, sample_weight=...)`` where more is better. Scorers and callables see
        labels as 0 and 1, the positive class (more classes: their numbers), and what `threshold`
        calls positive; a scorer made with `pos_label` or `labels` sees those of `y`.
    threshold : float or "youden", default=0.5
        Probability above which a unit is called positive; "youden" chooses it for each fold on the
        scores of the other folds.
    subgroups : dict or DataFrame, default=None
        Name of each subgroup to its level for each sample.
    baseline : str, default=None
        The row that the others are compared with.
    declared : str, default=None
        The one row whose accuracy was declared to be tested against the baseline by a p value.
    imputed : array-like of bool of shape (n_samples,), default=None
        Which samples had imputed values; `table_without_imputed` leaves them out.
    patient_rule : str or callable, default="mean_logit"
        How scores of a patient's images are joined, see `patient_scores`.
    label_rule : "any" or None, default=None
        "any" makes a patient positive who has a positive image; None refuses differing labels.
    are_log_odds : bool, default=False
        True lets scores pass that all lie in [0, 1], as those of probabilities do and log-odds
        may after few epochs. Those of ``cross_val_scores`` are known to be log-odds.
    n_resamples : int, default=2000
        Number of bootstrap replicates.
    confidence_level : float, default=0.95
        Level of all intervals, between 0 and 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the resampling.

    Returns
    -------
    Evaluation
        A Bunch, which notebooks show as tables: `table` (a row for each of `scores`; each metric
        with its `_low` and `_high`), `differences` (by row and metric: difference, intervals of
        test patients, of training and of all rows together, verdict), `subgroups`, `replicates`
        (dict of DataFrame), `counts`, `mcnemar` (dict or None), `table_without_imputed` (or None),
        `DESCR`, and the inputs.

    Raises
    ------
    ValueError
        For scores that are probabilities, missing or infinite; a metric that is not known, or
        takes no `sample_weight`; folds that part a patient;
        patients of several labels; a baseline that is not a row; and lengths that differ.

    Warns
    -----
    UserWarning
        For a row whose scores are equal in each fold, as of a model that tells nothing apart. A
        prior is meant so: make it the baseline. So is a rule, such as the majority class: it does
        not warn where it has one score in all of several folds.

    Notes
    -----
    Patients are drawn with replacement among those with the same labels, and all rows share the
    draws. AUC and average precision compare scores of one fold only. Proportions and AUC have
    intervals on the logit scale, other metrics and all differences percentiles. A proportion of
    exactly 0 or 1 has the interval of Clopper and Pearson with the effective number of patients
    [4]_, an AUC that of Newcombe [5]_. "better" is said only where the interval of the test
    patients and the one with training both exclude 0.

    Rows that are constant have an AUC of 0.5 without an interval and no calibration slope. Where a
    figure is the same in all replicates there is no interval. `DESCR` names both.

    References
    ----------
    .. [1] Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.
    .. [2] Nadeau, Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    .. [3] Yang et al., "A note on the tests for clustered matched-pair binary data", 2010.
    .. [4] Korn, Graubard, "Confidence intervals for proportions with small expected number of
       positive counts estimated from survey data", Survey Methodology 24, 1998.
    .. [5] Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
       statistic, part 2", Statistics in Medicine 25, 2006, method 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion.evaluation import evaluate_scores
    >>> random = np.random.default_rng(0)
    >>> y, groups = np.repeat(np.arange(60) % 2, 2), np.repeat(np.arange(60), 2)
    >>> scores = {"All": random.normal(3 * y - 1.5), "Baseline": random.normal(y - 0.5)}
    >>> found = evaluate_scores(
    ...     y, scores, groups=groups, fold=groups // 2 % 5, baseline="Baseline",
    ...     metrics=["auc"], n_resamples=200, random_state=0)
    >>> found.differences.loc[("All", "auc"), "verdict"]
    'better'
    """
    check_choice("unit", unit, ("patient", "image"))
    check_threshold(threshold)
    check_rule(patient_rule, "patient_rule")
    check_parameter("are_log_odds", are_log_odds, isinstance(are_log_odds, bool), "True or False")
    check_integer("n_resamples", n_resamples, minimum=2)
    is_level = isinstance(confidence_level, float) and 0 < confidence_level < 1
    check_parameter("confidence_level", confidence_level, is_level, "a number between 0 and 1")
    images, patients = check_images(y, scores, groups, fold, are_log_odds=are_log_odds)
    _check_rows(images, baseline, declared)

    units = images if unit == "image" else join_patients(images, patient_rule, label_rule)
    warn_of_constant_rows(units, baseline)
    metrics, calibration, left_out = choose_metrics(metrics, images.classes)
    thresholds = all_thresholds(threshold, units)
    parts = parts_of(units, images, unit, subgroups, imputed)
    figures = replicate(parts, metrics, thresholds, Draws(images, n_resamples, random_state))
    tables = {
        key: table_of(part, figures.get(key), metrics, calibration, confidence_level)
        for key, part in parts.items()
    }
    notes = notes_on_units(units, unit, patient_rule, groups)
    notes += notes_on_scores(units, threshold, left_out) + notes_on_constant_rows(units)
    for key, part in parts.items():
        notes += notes_on_part(part, figures.get(key), tables[key], metrics)
    differences = pd.DataFrame()
    if baseline is not None:
        by_fold, ratio = figures_by_fold(units, metrics, thresholds)
        differences = compare_rows(
            figures[ALL], by_fold, baseline, metrics, ratio, confidence_level,
            with_intervals=parts[ALL].has_intervals,
        )  # fmt: skip
        if len(by_fold[baseline]) < 2:
            notes.append("One fold: no interval with training; verdicts are of these models.")
    notes.append(f"Intervals: {confidence_level:.0%}, {n_resamples} replicates.")
    return Evaluation(
        table=tables[ALL],
        differences=differences,
        subgroups=subgroup_table(parts, tables),
        replicates=replicates_of(figures[ALL], metrics),
        counts=counts_of(images),
        mcnemar=declared_test(units, thresholds, declared, baseline),
        table_without_imputed=tables.get(COMPLETE),
        DESCR="\n".join(notes),
        y=images.classes[units.y],
        scores=units.scores,
        groups=patients[units.patient],
        fold=units.fold,
        unit=unit,
        baseline=baseline,
        threshold=threshold,
        confidence_level=confidence_level,
    )


def _check_rows(images, baseline, declared):
    """Refuse a baseline and a declared row that are not rows, or cannot be compared."""
    rows = images.scores
    for name, value in (("baseline", baseline), ("declared", declared)):
        known = f"None or one of the rows {', '.join(map(repr, rows))}"
        allowed = f"{known}; {did_you_mean(value, rows)}"
        check_parameter(name, value, value is None or value in rows, allowed)
    if declared is not None:
        valid = baseline not in (None, declared) and len(images.classes) == 2
        check_parameter("declared", declared, valid, "with two classes, a row beside the baseline")
