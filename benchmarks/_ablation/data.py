"""The cohort, the rows and the folds that the options ask for."""

import os
import textwrap

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from tqdm.auto import tqdm

from skosfusion import ABLATIONS, check_leakage, make_clinical_transformer
from skosfusion.datasets import (
    ImageColumn,
    TargetColumn,
    exclude_screenshots,
    load_cohort,
    make_osteosarcoma_cohort,
)
from skosfusion.images import open_image

from .options import pairs


def load(options):
    """Load the user's tables, or draw the embedded cohort."""
    if options.image_table is None:
        return make_osteosarcoma_cohort(
            n_patients=options.patients,
            random_state=0,
            data_home=options.data_home,
            n_jobs=os.cpu_count(),
        )
    columns = _columns(options)
    images, folder = options.image_table, options.image_folder
    if options.screenshots is not None:
        folder = os.path.dirname(images) if folder is None else folder
        image = ImageColumn(columns.get("image", "image"))
        images = exclude_screenshots(images, options.screenshots, image=image)
    cohort = load_cohort(
        images,
        options.clinical_table,
        image_folder=folder,
        columns=columns,
        na_values=tuple(options.na_value),
    )
    return cohort if options.unusable_images == "error" else _without_unusable(cohort, options)


def _columns(options):
    """Return what the options say of the columns, as load_cohort takes it."""
    kits = {}
    for name, text in pairs(options.kit, "--kit").items():
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 3:
            raise SystemExit(f"--kit {name}={text}: write it as NAME=VALUE,LOW,HIGH")
        kits[name] = tuple(parts[:1] + [_number_or_name(part) for part in parts[1:]])
    if kits:  # those of the paper are taken only where none is named
        kits = {"alp": None, "ldh": None} | kits
    positive = options.positive
    target = TargetColumn(
        options.target,
        positive=positive[0] if positive and len(positive) == 1 else positive,
        label_conflicts=options.label_conflicts,
    )
    return pairs(options.column, "--column") | kits | {"target": target}


def _without_unusable(cohort, options):
    """Leave out the rows whose image cannot be read, and list them."""
    usable = np.ones(len(cohort.data), bool)
    for row, path in enumerate(tqdm(cohort.data["image"], desc="checking images", leave=False)):
        try:
            open_image(path, row=row, frame=options.frame)
        except OSError as error:
            usable[row] = False
            print(f"left out: {error}")
    for name in ("data", "frame"):
        cohort[name] = cohort[name][usable].reset_index(drop=True)
    for name in ("target", "groups"):
        cohort[name] = cohort[name][usable]
    print(f"left out {np.sum(~usable)} of {len(usable)} images", flush=True)
    return cohort


def make_clinical(cohort, rows, folds):
    """Make the clinical transformer, and try every value before anything is trained."""
    used = {name for row in rows.values() for name in row}
    for name in sorted(used):
        known = cohort.data[name].notna().to_numpy()
        for number, (train, _) in enumerate(folds, start=1):
            if not known[train].any():
                raise SystemExit(
                    f"input {name!r} has {known.sum()} values in all and none in the training part "
                    f"of fold {number}; use fewer --folds, or leave it out of --rows"
                )
    clinical = make_clinical_transformer(
        gender="gender" if "gender" in cohort.data else None,
        age="age" if "age" in cohort.data else None,
        kits=cohort.kits,
    )
    unused = {name: "drop" for name, *_ in clinical.transformers if name not in {"image", *used}}
    # An input that no row names would otherwise stay on in all of them.
    clinical.set_params(**unused)
    # Here rows are those of the whole table; within a fold they would be counted anew.
    clone(clinical).fit(cohort.data)
    return clinical


def _number_or_name(text):
    if not text:  # an end that the range does not have
        return None
    try:
        return float(text)
    except ValueError:
        return text


def choose_rows(requested, cohort):
    """Find the rows to run."""
    inputs = [name for name in ("gender", "age") if name in cohort.data] + list(cohort.kits)
    if requested is None:
        if set(inputs) >= set(ABLATIONS["All"]):
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
            raise SystemExit(
                f"--rows {item!r} is neither NAME=input+input nor one of {', '.join(ABLATIONS)}"
            )
        unknown = [used for used in rows[name] if used not in inputs]
        if unknown:
            raise SystemExit(
                f"--rows {item!r} uses {unknown[0]!r}; the inputs are {', '.join(inputs)}"
            )
    return rows


def make_folds(options, cohort):
    """Split the cohort, and refuse a fold that cannot be trained or scored."""
    labels = np.unique(cohort.target)
    if labels.tolist() != [0, 1]:
        raise SystemExit(
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
            raise SystemExit(
                f"--folds {options.folds}: only {n_units} {unit} have label {label}, so a fold "
                "would hold one class only; use fewer --folds"
            )
    groups = None if options.image_wise else cohort.groups
    folds = list(splitter.split(cohort.data, cohort.target, groups))
    for number, fold in enumerate(folds, start=1):
        for part, rows in zip(("training", "test"), fold, strict=True):
            if len(np.unique(cohort.target[rows])) < 2:
                raise SystemExit(
                    f"the {part} part of fold {number} holds one class only; use fewer --folds"
                )
    return folds


def find_leaks(options, cohort, folds):
    """Look for patients and images in both the training and the test set, and print them."""
    print("looking for leaks: every image is read", flush=True)
    found = check_leakage(
        cohort.data,
        cohort.groups,
        folds,
        target=cohort.target,
        image_options=None if options.frame is None else {"frame": options.frame},
        on_leak="ignore",
    )
    print(textwrap.indent(found.DESCR, "    "))
    if found.n_leaking_images:
        print(
            f"WARNING: images in both the training and the test set: {found.n_leaking_images}; the "
            "scores are too good. Leave one row of each in the table, or give its rows one patient",
            flush=True,
        )
    return found
