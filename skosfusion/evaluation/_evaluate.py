"""Metrics of out-of-fold log-odds by patient, with intervals and paired differences."""

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import t
from sklearn.utils import Bunch

from .._utils.validation import check_choice, check_integer, check_parameter, did_you_mean
from ._calibration import recalibrate
from ._differences import clustered_mcnemar, compare_rows
from ._inputs import check_images
from ._intervals import interval
from ._metrics import RowMetrics, choose_metrics
from ._patients import check_rule, join_patients
from ._resampling import Draws
from ._subgroups import levels_of
from ._thresholds import check_threshold, thresholds_of

_FEWEST_PATIENTS = 10


def evaluate_scores(
    y, scores, *, groups, fold, unit="patient", metrics=None, threshold=0.5, subgroups=None,
    baseline=None, declared=None, imputed=None, patient_rule="mean_logit", label_rule=None,
    n_resamples=2000, confidence_level=0.95, random_state=None,
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
        ``metric(y, score, sample_weight=...)`` where more is better.
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
    n_resamples : int, default=2000
        Number of bootstrap replicates.
    confidence_level : float, default=0.95
        Level of all intervals, between 0 and 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the resampling.

    Returns
    -------
    Bunch
        `table` (a row for each of `scores`; each metric with its `_low` and `_high`),
        `differences` (by row and metric: difference, intervals of test patients, of training and
        of all rows together, verdict), `subgroups`, `replicates` (dict of DataFrame), `counts`,
        `mcnemar` (dict or None), `table_without_imputed` (or None), `DESCR`, and the inputs.

    Raises
    ------
    ValueError
        For scores that are probabilities, missing, infinite or constant; folds that part a patient;
        patients of several labels; a baseline that is not a row; and lengths that differ.

    Notes
    -----
    Patients are drawn with replacement among those with the same labels, and all rows share the
    draws. AUC and average precision compare scores of one fold only. Proportions and AUC have
    intervals on the logit scale, other metrics and all differences percentiles. "better" is said
    only where the interval of the test patients and the one with training both exclude 0.

    References
    ----------
    .. [1] Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.
    .. [2] Nadeau, Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    .. [3] Yang et al., "A note on the tests for clustered matched-pair binary data", 2010.

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
    check_rule(patient_rule)
    check_integer("n_resamples", n_resamples, minimum=2)
    is_level = isinstance(confidence_level, float) and 0 < confidence_level < 1
    check_parameter("confidence_level", confidence_level, is_level, "a number between 0 and 1")
    images, patients = check_images(y, scores, groups, fold)
    _check_row("baseline", baseline, images.scores)
    _check_row("declared", declared, images.scores)
    if declared is not None:
        valid = baseline not in (None, declared) and len(images.classes) == 2
        check_parameter("declared", declared, valid, "with two classes, a row beside the baseline")
    units = images if unit == "image" else join_patients(images, patient_rule, label_rule)
    chosen, calibration, left_out = choose_metrics(metrics, images.classes)
    thresholds = {
        name: thresholds_of(threshold if len(images.classes) == 2 else 0.5, units, score)
        for name, score in units.scores.items()
    }
    masks = {None: np.ones(len(units.y), bool)}
    masks |= {(name, level): mask for name, level, mask in levels_of(subgroups, images, unit)}
    if imputed is not None:
        masks["imputed"] = _complete_units(imputed, images, unit)
    notes = _notes(images, units, unit, patient_rule, left_out, threshold, groups)

    # All tasks see the same blocks of draws.
    tasks, draws, values, parts = {}, {}, {}, {}
    ones = np.ones((1, images.n_patients), np.int32)
    for key, mask in masks.items():
        parts[key] = units.take(mask)
        n_present = sum(parts[key].patients_with(c) > 0 for c in range(len(units.classes)))
        if n_present < len(units.classes):
            notes.append(f"{_called(key)}: a class is missing, so there are no figures.")
            continue
        for name, score in parts[key].scores.items():
            cut = thresholds[name] if np.ndim(thresholds[name]) == 0 else thresholds[name][mask]
            tasks[key, name] = RowMetrics(parts[key], score, chosen, cut)
            values[key, name] = tasks[key, name].values(ones)[0]
            draws[key, name] = np.empty((n_resamples, len(chosen)))
    for replicates, counts in Draws(images, n_resamples, random_state).blocks():
        for task, row in tasks.items():
            draws[task][replicates] = row.values(counts)

    def table_of(key):
        part = parts[key]
        is_enough = part.n_rare >= _FEWEST_PATIENTS
        if not is_enough and (key, next(iter(units.scores))) in tasks:
            notes.append(
                f"{_called(key)}: fewer than {_FEWEST_PATIENTS} patients of a class, so there are "
                "no intervals."
            )
        lines = {}
        for name, score in part.scores.items():
            line = lines[name] = {}
            for place, metric in enumerate(chosen):
                value, ends = np.nan, (np.nan, np.nan)
                if (key, name) in tasks:
                    value = values[key, name][place]
                    drawn = draws[key, name][:, place]
                    df = max(len(np.unique(part.patient)) - 1, 1)
                    if is_enough:
                        ends = interval(value, drawn, metric.scale, confidence_level, df)
                    if is_enough and metric.scale == "logit" and value in (0, 1):
                        notes.append(
                            f"{_called(key)}, {name}: {metric.name} is {value:g}, so there is no "
                            "interval."
                        )
                line[metric.name] = value
                line[f"{metric.name}_low"], line[f"{metric.name}_high"] = ends
            if calibration and (key, name) in tasks:
                fitted = recalibrate(part.y, score, part.patient)
                quantile = t.ppf((1 + confidence_level) / 2, len(np.unique(part.patient)))
                for which in calibration:
                    value, half = fitted[which][0], quantile * fitted[which][1]
                    half = half if is_enough else np.nan
                    line |= {which: value, f"{which}_low": value - half}
                    line[f"{which}_high"] = value + half
        return pd.DataFrame.from_dict(lines, orient="index").rename_axis("row")

    table = table_of(None)
    differences = pd.DataFrame()
    if baseline is not None:
        by_fold, ratio = _by_fold(units, chosen, thresholds)
        rows = units.scores
        differences = compare_rows(
            {name: values[None, name] for name in rows}, {n: draws[None, n] for n in rows},
            by_fold, baseline, chosen, ratio, confidence_level,
        )  # fmt: skip
        if len(next(iter(by_fold.values()))) < 2:
            notes.append("One fold: no interval with training; verdicts are of these models.")
        if units.n_rare < _FEWEST_PATIENTS and len(differences):
            differences.loc[:, differences.columns.str.contains("low|high")] = np.nan
            differences["verdict"] = "not shown"
    found = {
        key: table_of(key).assign(
            patients=len(np.unique(parts[key].patient)), units=len(parts[key].y)
        )
        for key in masks
        if isinstance(key, tuple)
    }
    names = [metric.name for metric in chosen]
    return Bunch(
        table=table,
        differences=differences,
        subgroups=pd.concat(found, names=["subgroup", "level"]) if found else pd.DataFrame(),
        replicates={n: pd.DataFrame(draws[None, n], columns=names) for n in units.scores},
        counts=_counts(images),
        mcnemar=_declared_test(units, thresholds, declared, baseline),
        table_without_imputed=table_of("imputed") if imputed is not None else None,
        DESCR="\n".join([*notes, f"Intervals: {confidence_level:.0%}, {n_resamples} replicates."]),
        y=images.classes[units.y],
        scores=units.scores,
        groups=patients[units.patient],
        fold=units.fold,
        unit=unit,
        baseline=baseline,
        threshold=threshold,
        confidence_level=confidence_level,
    )


def _check_row(name, value, rows):
    allowed = f"None or one of the rows {', '.join(map(repr, rows))}; {did_you_mean(value, rows)}"
    check_parameter(name, value, value is None or value in rows, allowed)


def _called(key):
    if key is None:
        return "all"
    return "without imputed" if key == "imputed" else f"subgroup {key[0]} = {key[1]}"


def _complete_units(imputed, images, unit):
    """Return which units have no imputed value."""
    imputed = np.asarray(imputed)
    if imputed.shape != images.y.shape or imputed.dtype != bool:
        raise ValueError(
            f"imputed has shape {imputed.shape} and type {imputed.dtype}; allowed: True or False "
            f"for each of {len(images.y)} samples"
        )
    if unit == "image":
        return ~imputed
    return np.bincount(images.patient, imputed, images.n_patients) == 0


def _by_fold(units, metrics, thresholds):
    """Return each row's metrics in each fold of each repeat, and the test to training ratio."""
    lines, ones = {name: [] for name in units.scores}, np.ones((1, units.n_patients), np.int32)
    sizes = []
    for repeat, fold in enumerate(units.fold.T):
        for one in np.unique(fold):
            here = fold == one
            part = units.take(here)._replace(fold=units.fold[here][:, repeat : repeat + 1])
            sizes.append(here.mean())
            has_all = len(np.unique(part.y)) == len(units.classes)
            for name, score in part.scores.items():
                cut = thresholds[name]
                cut = cut if np.ndim(cut) == 0 else cut[here][:, repeat : repeat + 1]
                line = np.full(len(metrics), np.nan)
                if has_all:
                    score = score[..., repeat : repeat + 1]
                    line = RowMetrics(part, score, metrics, cut).values(ones)[0]
                lines[name].append(line)
    share = np.mean(sizes)
    ratio = share / (1 - share) if share < 1 else np.nan
    return {name: np.array(line) for name, line in lines.items()}, ratio


def _declared_test(units, thresholds, declared, baseline):
    """Return the clustered McNemar test of the declared comparison."""
    if declared is None:
        return None
    right = [
        ((units.scores[n] > thresholds[n]) == (units.y == 1)[:, None]).mean(axis=1)
        for n in (declared, baseline)
    ]
    return {"row": declared, "baseline": baseline, **clustered_mcnemar(*right, units.patient)}


def _counts(images):
    """Count patients and images, in all and by fold."""
    lines = {("all", "all"): np.ones(len(images.y), bool)}
    for repeat, fold in enumerate(images.fold.T):
        lines |= {(repeat, one): fold == one for one in np.unique(fold)}
    table = pd.DataFrame(
        [
            {
                "patients": len(np.unique(images.patient[here])),
                "images": int(here.sum()),
                "positives": int((images.y[here] == 1).sum()),
            }
            for here in lines.values()
        ],
        index=pd.MultiIndex.from_tuples(list(lines), names=["repeat", "fold"]),
    )
    return table


def _notes(images, units, unit, patient_rule, left_out, threshold, groups):
    """Say in words what the figures are."""
    rule = f", joined by {patient_rule!r}" if unit == "patient" else "; intervals are by patient"
    notes = [f"{len(units.y)} units ({unit}) of {images.n_patients} patients{rule}."]
    if groups is None:
        notes.append("groups=None: each image counts as a patient of its own.")
    if len(images.classes) == 2:
        notes.append(f"Positive class: {images.classes[1]}. Threshold: {threshold}.")
        rounded = sum(int((np.isin(expit(s), (0, 1))).sum()) for s in units.scores.values())
        notes.append(f"No score was clipped; {rounded} have a probability that rounds to 0 or 1.")
    if left_out:
        notes.append(f"Left out, for two classes only: {', '.join(left_out)}.")
    for repeat, fold in enumerate(units.fold.T):
        for one in np.unique(fold):
            if len(np.unique(units.y[fold == one])) < len(images.classes):
                notes.append(f"Repeat {repeat}, fold {one} lacks a class: not in the AUC.")
    return notes
