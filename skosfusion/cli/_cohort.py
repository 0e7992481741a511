"""The rows and the folds that the options ask for, and the transformer of the inputs."""

import textwrap

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ..model_selection import ABLATIONS, check_leakage
from ..pipeline import clinical_options
from ..preprocessing import make_clinical_transformer
from ._errors import DataProblemError, UsageError

# What a cohort says of its inputs, as the clinical transformer takes it.
_KINDS = "kits", "numbers", "categories"
_SHOWN = 6


def inputs_of(cohort):
    """List the inputs that a cohort has beside the image, as the steps are named."""
    ours = [name for name in ("gender", "age") if name in cohort.data]
    return ours + [name for kind in _KINDS for name in cohort.get(kind, ())]


def clinical_transformer(inputs, options):
    """Make the transformer of all inputs that a cohort has."""
    of_recipe = clinical_options(options.recipe)
    # A rare category may lie in one fold alone, and `predict` warns of one that was not trained on.
    return make_clinical_transformer(
        missing=options.missing, unknown_category="ignore", **of_recipe, **inputs
    )


def make_clinical(cohort, rows, folds, options):
    """Make the clinical transformer, and try every value before anything is trained."""
    used = {name for row in rows.values() for name in row}
    for name in sorted(used):
        known = cohort.data[_column_of(cohort, name)].notna().to_numpy()
        for number, (train, _) in enumerate(folds, start=1):
            if not known[train].any():
                raise DataProblemError(
                    f"input {name!r} has {known.sum()} values in all and none in the training part "
                    f"of fold {number}; use fewer --folds, or leave it out of --rows"
                )
    clinical = clinical_transformer(cohort.inputs, options)
    unused = {name: "drop" for name, *_ in clinical.transformers if name not in {"image", *used}}
    # An input that no row names would otherwise stay on in all of them.
    clinical.set_params(**unused)
    # Here rows are those of the whole table; within a fold they would be counted anew.
    clone(clinical).fit(cohort.data)
    return clinical


def _column_of(cohort, name):
    """Return the column that holds the values of an input."""
    for kind in _KINDS:
        declared = cohort.get(kind, ())
        if name in declared:
            column = declared[name] if isinstance(declared, dict) else name
            return column if isinstance(column, str) else column[0]
    return name


def unseen_categories(cohort, folds):
    """Say which categories are in the test part of a fold and not in its training part."""
    said = []
    for name in cohort.get("categories", ()):
        cells = cohort.data[_column_of(cohort, name)].to_numpy(dtype=object, na_value=None)
        unseen = sorted(
            {text for train, test in folds for text in set(cells[test]) - {*cells[train], None}}
        )
        if unseen:
            shown = ", ".join(map(repr, unseen[:_SHOWN]))
            more = f" and {len(unseen) - _SHOWN} more" if len(unseen) > _SHOWN else ""
            said.append(
                f"input {name!r}: too few patients have {shown}{more}, which is not in every "
                "training set; there it counts as none of the known categories. Fewer categories, "
                "joined in the table, or fewer --folds avoid that"
            )
    return said


def choose_rows(requested, cohort):
    """Find the rows to run."""
    inputs = inputs_of(cohort)
    if requested is None:
        if set(inputs) == set(ABLATIONS["All"]):
            return ABLATIONS
        rows = {"Baseline": ()} | {name.capitalize(): (name,) for name in inputs}
        return rows if len(inputs) < 2 else rows | {"All": tuple(inputs)}
    rows = {}
    for item in requested:
        name, separator, text = item.partition("=")
        if separator:
            rows[name] = tuple(part.strip() for part in text.split("+") if part.strip())
        elif name in ABLATIONS:
            rows[name] = ABLATIONS[name]
        else:
            raise UsageError(
                f"--rows {item!r} is neither NAME=input+input nor one of {', '.join(ABLATIONS)}"
            )
        unknown = [used for used in rows[name] if used not in inputs]
        if unknown:
            raise UsageError(
                f"--rows {item!r} uses {unknown[0]!r}; the inputs are {', '.join(inputs)}"
            )
    return rows


def make_folds(options, cohort):
    """Split the cohort, and refuse a fold that cannot be trained or scored."""
    labels = np.unique(cohort.target)
    if labels.tolist() != [0, 1]:
        raise DataProblemError(
            f"column {options.target!r} holds the labels {labels.tolist()}; say with --positive "
            "LABEL which ones count as positive"
        )
    kind = StratifiedKFold if options.image_wise else StratifiedGroupKFold
    splitter = kind(options.folds, shuffle=True, random_state=options.seed)
    units = np.arange(len(cohort.target)) if options.image_wise else np.asarray(cohort.groups)
    for label in labels:
        n_units = len(set(units[cohort.target == label]))
        if n_units < options.folds:
            unit = "images" if options.image_wise else "patients"
            raise UsageError(
                f"--folds {options.folds}: only {n_units} {unit} have label {label}, so a fold "
                "would hold one class only; use fewer --folds"
            )
    groups = None if options.image_wise else cohort.groups
    folds = list(splitter.split(cohort.data, cohort.target, groups))
    for number, fold in enumerate(folds, start=1):
        for part, rows in zip(("training", "test"), fold, strict=True):
            if len(np.unique(cohort.target[rows])) < 2:
                raise UsageError(
                    f"the {part} part of fold {number} holds one class only; use fewer --folds"
                )
    return folds


def find_leaks(options, cohort, folds, output):
    """Look for patients and images in both the training and the test set, and say so."""
    output.say("looking for leaks: every image is read")
    found = check_leakage(
        cohort.data,
        cohort.groups,
        folds,
        target=cohort.target,
        image_options=None if options.frame is None else {"frame": options.frame},
        on_leak="ignore",
    )
    output.say(textwrap.indent(found.DESCR, "    "))
    if found.n_leaking_images:
        output.say(
            f"WARNING: images in both the training and the test set: {found.n_leaking_images}; the "
            "scores are too good. Leave one row of each in the table, or give its rows one patient"
        )
    return found
