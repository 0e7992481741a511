"""The first screen: does it help, on whom was it measured, what could be wrong with it."""

import numpy as np

from ._document import count, number, signed, span
from ._masks import is_few, masked_parts
from ._table_one import missing_shares

_ENOUGH_PATIENTS = 200
#: Parts of a check for leaks.
PARTS = (
    "in both the training and the test set",
    "repeated images",
    "patients with two labels",
    "patients that differ in spelling only",
    "near images of different patients",
)
_MOST_MISSING = 5


def answers(given):
    """Return the three questions with their sentences, made from figures only."""
    return [
        ("Does it help?", does_it_help(given)),
        ("On whom was it measured?", on_whom(given)),
        ("What could be wrong with it?", what_could_be_wrong(given)),
    ]


def main_metric(differences):
    """Return AUC where there is one, else the first metric."""
    metrics = list(dict.fromkeys(differences.index.get_level_values("metric")))
    return "auc" if "auc" in metrics else metrics[0]


def called(metric):
    """Return the name of a metric in a sentence."""
    return "AUC" if metric == "auc" else metric.replace("_", " ")


def does_it_help(given):
    """Say how each row differs from the baseline, and what is not shown."""
    evaluation = given.evaluation
    differences, level = evaluation.differences, f"{100 * evaluation.confidence_level:g} %"
    if not len(differences):
        return [
            f"{why_no_differences(given)}, so nothing here says whether it helps.",
            *_majority(given),
        ]
    metric = main_metric(differences)
    found = differences.xs(metric, level="metric")
    baseline = given.text(evaluation.baseline)
    tally = {verdict: int((found["verdict"] == verdict).sum()) for verdict in ("better", "worse")}
    sentences = [
        f"Of {count(len(found), 'row')} compared with {baseline} by {called(metric)}, "
        f"{tally['better']} shown to be better, {tally['worse']} shown to be worse, "
        f"{len(found) - sum(tally.values())} not shown."
    ]
    sentences += [_difference(given, row, line, metric) for row, line in found.iterrows()]
    if len(found) > 1:
        n_apart = int(((found["low_simultaneous"] > 0) | (found["high_simultaneous"] < 0)).sum())
        sentences.append(
            f"The intervals by patient hold for one row each; widened to hold for all {len(found)} "
            f"rows together, {n_apart} exclude 0, training uncertainty aside."
        )
    if evaluation.mcnemar is not None:
        test = evaluation.mcnemar
        sentences.append(
            f"The comparison that was declared, {given.text(test['row'])} with {baseline}: "
            f"accuracy {signed(test['difference'])}, clustered McNemar p = "
            f"{number(test['p_value'], 4)}."
        )
    sentences.append(
        f'Intervals are of {level}; "not shown" does not mean that there is no difference, and '
        "a difference does not say what causes it."
    )
    return sentences + _majority(given)


def why_no_differences(given):
    """Say what an evaluation without differences lacks."""
    if given.evaluation.baseline is None:
        return "No row was declared as baseline"
    if len(given.rows) == 1:
        return "There is no row beside the baseline"
    return "Of the metrics that were evaluated none is better the higher or the lower it is"


def _difference(given, row, line, metric):
    """Say what one row changes, and no more than both intervals bear."""
    if np.isfinite(line["low_training"]):
        training = (
            f"; with training uncertainty {span(line['low_training'], line['high_training'])}"
        )
        verdict = line["verdict"]
    else:
        training = "; training uncertainty is not known"
        verdict = line["verdict"]
        if verdict != "not shown":
            verdict += ", for these trained models only"
    return (
        f"{_change(given, row)} changes {called(metric)} by {signed(line['difference'])} "
        f"{span(line['low'], line['high'])} by patient{training}: {verdict}."
    )


def _change(given, row):
    """Say what a row adds to the baseline where its inputs are known."""
    inputs = [given.inputs_of(name) for name in (row, given.evaluation.baseline)]
    name = given.text(row)
    if None not in inputs and set(inputs[1]) < set(inputs[0]):
        added = [given.text(one) for one in inputs[0] if one not in inputs[1]]
        listed = " and ".join([", ".join(added[:-1]), added[-1]] if added[:-1] else added)
        return f"Adding {listed} (row {name})"
    return f"Row {name} instead of {given.text(given.evaluation.baseline)}"


def _majority(given):
    """Name the comparator that needs no model."""
    labels, counts = np.unique(given.evaluation.y, return_counts=True)
    if any(map(is_few, given.patients_of)):
        # The share would tell how many they are.
        return []
    share = counts.max() / counts.sum()
    units = "patients" if given.evaluation.unit == "patient" else "images"
    best = given.label(labels[counts.argmax()])
    return [f"Always saying {best} would be right in {100 * share:.1f} % of {units}."]


def on_whom(given):
    """Say how many patients, what labels, which folds and sites."""
    evaluation = given.evaluation
    n_images = int(evaluation.counts.loc[("all", "all"), "images"])
    sizes = masked_parts(dict(enumerate(given.patients_of)))
    labels = ", ".join(
        f"{given.label(label)} {sizes[place]}" for place, label in enumerate(given.classes)
    )
    # Scores that were joined before count as one image a patient.
    images = "" if n_images == given.n_patients else f", {n_images} images"
    sentences = [f"{given.n_patients} patients{images}; patients with each label: {labels}."]
    n_repeats = evaluation.fold.shape[1]
    n_folds = len(np.unique(evaluation.fold[:, 0]))
    if n_folds > 1:
        sentences.append(
            f"Scores are out of fold: {n_folds} folds, {count(n_repeats, 'repeat')}, and no "
            "patient is in two folds of a repeat."
        )
    else:
        sentences.append("One test set, whose patients are as given: no folds.")
    unit = "patients" if evaluation.unit == "patient" else "images, with intervals by patient"
    sentences.append(f"Figures are over {unit}.")
    if given.cohort is None:
        sentences.append("No cohort was given: who the patients are is not told here.")
    if given.sites is None:
        sentences.append("No site was left out: nothing here says how it does elsewhere.")
    else:
        for row, line in given.sites.pooled.iterrows():
            sentences.append(
                f"Row {given.text(row)}, {int(line['n_sites'])} sites left out in turn: mean AUC "
                f"{number(line['auc'])} {span(line['low'], line['high'])}, expected at a new site: "
                f"{span(line['prediction_low'], line['prediction_high'])}."
            )
    return sentences


def what_could_be_wrong(given):
    """Say what was found, what was not looked for, and what the figures cannot bear."""
    parts = [_leaks, _shortcuts, _missing, _too_few, _calibrated, _repeats]
    return [sentence for part in parts for sentence in part(given)]


def _leaks(given):
    sentences = []
    if given.settings.get("leaking_patients"):
        sentences.append(
            f"THIS LEAKS: {given.text(given.settings['leaking_patients'])} patients are in both "
            "the training and the test set, so the figures are too good."
        )
    if given.settings.get("patients_known") is False:
        sentences.append("No patients were given: each image counts as one, and may not be.")
    found = given.leakage
    if found is None:
        return [*sentences, "Leaks: not looked for."]
    if not found.leaks:
        unchecked = not_checked(found)
        limits = f"; not checked: {', '.join(unchecked)}" if unchecked else ""
        return [*sentences, f"Leaks: looked for, none found{limits}."]
    return [
        *sentences,
        f"Leaks: {count(found.n_leaking_patients, 'patient')} and "
        f"{count(found.n_leaking_images, 'image')} in both the training and the test set, "
        f"{count(len(found.near_images), 'pair')} of images that look the same, "
        f"{count(len(found.patient_spellings), 'pair')} of record numbers that differ in spelling "
        "only; the figures may be too good.",
    ]


def not_checked(leakage):
    """Return which parts of a check for leaks were not done, in its own words."""
    lines = (line.partition(": ") for line in leakage.DESCR.splitlines())
    return [name for name, _, text in lines if text.startswith("not checked") and name in PARTS]


def _shortcuts(given):
    if given.shortcuts is None:
        return ["Shortcuts (files, sites, projections that tell the label): not looked for."]
    table = given.shortcuts.table
    warned = table[table["warns"]]
    if not len(warned):
        return [
            f"Shortcuts: {len(table)} asked, none warned of; what only pixels show is not asked."
        ]
    listed = ", ".join(
        f"{given.text(line['what'])} (AUC {number(line['auc'], 2)})"
        for _, line in warned.iterrows()
    )
    return [f"Shortcuts: the label can be told without the disease, by {listed}."]


def _missing(given):
    if given.cohort is None:
        return []
    shares = missing_shares(given.cohort).sort_values(ascending=False)
    n_patients = given.n_patients
    listed = ", ".join(
        f"{given.text(name)} {100 * share:.0f} %" if share * n_patients >= _MOST_MISSING
        else f"{given.text(name)} in a few"
        for name, share in shares.head(_MOST_MISSING).items()
    )  # fmt: skip
    return [f"Missing values, share of patients: {listed}."] if listed else []


def _too_few(given):
    rarest = min(given.patients_of)
    if rarest < 10:
        return ["Fewer than 10 patients of a class: there are no intervals, and nothing is shown."]
    if given.n_patients < _ENOUGH_PATIENTS:
        return [
            f"{given.n_patients} patients are few: at 50 patients, intervals of 95 % held the "
            "truth in 89 to 93 % of simulations, from 200 on in 93 to 95 %."
        ]
    return []


def _calibrated(given):
    table = given.evaluation.table
    if "calibration_slope" not in table:
        return []
    sentences = []
    for row, line in table.iterrows():
        low, high = line["calibration_slope_low"], line["calibration_slope_high"]
        if high < 1 or low > 1:
            kind = "too extreme" if high < 1 else "too moderate"
            sentences.append(
                f"Probabilities of {given.text(row)} are {kind}: calibration slope "
                f"{number(line['calibration_slope'], 2)} {span(low, high, 2)}."
            )
    return sentences


def _repeats(given):
    sentences = []
    if given.evaluation.fold.shape[1] == 1 and len(np.unique(given.evaluation.fold)) > 1:
        sentences.append("One repeat: other folds would give other figures.")
    if given.sites is None:
        sentences.append("It was tested on patients of the same source as those it learned from.")
    return sentences
