"""Sections on what the figures rest on: flow, patients, leaks, shortcuts."""

import pandas as pd

from ._document import Section, Table, figure
from ._findings import PARTS, not_checked
from ._masks import FEW, MASKED, hidden_levels, is_few, masked_count
from ._table_one import table_one


def flow(given):
    """Return how many images and patients were left out, and why."""
    section = Section("flow", "Patient flow")
    steps = None if given.cohort is None else given.cohort.get("flow")
    if steps is None:
        section.given = False
        section.paragraphs.append("No flow of exclusions was given; it comes with load_cohort.")
        return section
    columns = ["n_images", "n_patients", "excluded_images", "excluded_patients"]
    columns = [name for name in [*columns, "excluded_records"] if name in steps]
    cells = _masked_steps(steps, columns)
    rows = [
        [given.text(reason), *(cells[name][place] for name in columns)]
        for place, reason in enumerate(steps["reason"])
    ]
    heads = ["step", *(name.removeprefix("n_").replace("_", " ") for name in columns)]
    section.tables.append(Table("flow", "From the table to the cohort", heads, rows))
    return section


def _masked_steps(steps, columns):
    """Return the counts of each step as texts, none of which gives away a few patients."""
    counts = {name: [None if pd.isna(n) else int(n) for n in steps[name]] for name in columns}
    cells = {
        name: ["" if n is None else masked_count(n) for n in values]
        for name, values in counts.items()
    }
    left_out = counts.get("excluded_patients", [None] * len(steps))
    few = [place for place, n in enumerate(left_out) if n is not None and is_few(n)]
    for noun in ("images", "patients"):
        excluded, left = f"excluded_{noun}", f"n_{noun}"
        if excluded not in counts or left not in counts:
            continue
        known = {place: [n] for place, n in enumerate(counts[excluded]) if n is not None}
        hidden, is_told = hidden_levels(known, [place for place in few if place in known])
        for place in hidden:
            told = is_told and is_few(known[place][0])
            cells[excluded][place] = FEW if told else MASKED
        # What is left after each step would give them away; the last is that of the cohort.
        n_hidden = len(steps) - 1 if hidden else 0
        for place in range(1 if is_told and len(hidden) > 1 else 0, n_hidden):
            cells[left][place] = cells[left][place] and MASKED
    return cells


def patients(given):
    """Return table one."""
    section = Section("table_one", "Patients")
    if given.cohort is None:
        section.given = False
        section.paragraphs.append("No cohort was given.")
        return section
    table, left_out = table_one(given)
    section.tables.append(table)
    if left_out:
        section.paragraphs.append(f"Not shown, having too many levels: {', '.join(left_out)}.")
    return section


def leaks(given):
    """Return what was found in both the training and the test set; names nobody."""
    section = Section("leakage", "Check for leaks")
    found = given.leakage
    if found is None:
        section.given = False
        section.paragraphs.append("Not looked for; check_leakage does.")
        return section
    both = f"{found.n_leaking_patients} patients, {found.n_leaking_images} images"
    results = (
        both,
        found.repeated_images["image_id"].nunique(),
        found.patients_with_two_labels["patient"].nunique(),
        f"{len(found.patient_spellings)} pairs",
        f"{len(found.near_images)} pairs",
    )
    unchecked = not_checked(found)
    rows = [["folds checked", str(found.n_folds)]]
    rows += [
        [name, "not checked" if name in unchecked else str(result)]
        for name, result in zip(PARTS, results, strict=True)
    ]
    section.tables.append(Table("leakage", "What was found", ["", "number"], rows))
    said = "found" if found.leaks else "none found in what was checked"
    section.paragraphs.append(f"Leaks: {said}.")
    section.given = PARTS[0] not in unchecked
    return section


def shortcuts(given):
    """Return what tells the label beside the disease."""
    section = Section("shortcuts", "Audit of shortcuts")
    if given.shortcuts is None:
        section.given = False
        section.paragraphs.append("Not looked for; audit_shortcuts does.")
        return section
    rows = [
        [
            given.text(line["what"]), str(line["n"]),
            figure(line["auc"], line["low"], line["high"]),
            "yes" if line["warns"] else "no", given.text(line["note"]),
        ]
        for _, line in given.shortcuts.table.iterrows()
    ]  # fmt: skip
    heads = ["what is asked alone", "patients", "AUC", "warned of", "note"]
    section.tables.append(Table("shortcuts", "What tells the label by itself", heads, rows))
    for _, line in given.shortcuts.time.iterrows():
        section.points.append(
            f"{given.text(line['what'])}: measured after the outcome in {line['n_after']} of "
            f"{line['n_known']} rows where both times are known."
        )
    return section
