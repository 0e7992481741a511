"""What `check_leakage` found, in words."""

import os

from .._utils.validation import shown

NOT_CHECKED = "not checked"


def describe(found, checked, who):
    """Say in some lines what was checked and what was found; splits are by `who`."""
    conflicts = found.patients_with_two_labels["patient"].unique()
    results = {
        "in both the training and the test set": ("folds", _in_both(found, who) or "nothing"),
        "repeated images": ("images", _repeated(found.repeated_images)),
        "patients with two labels": (
            "labels",
            shown(conflicts, "patient", _one_line) if len(conflicts) else "none",
        ),
    }
    texts = checked | {
        name: NOT_CHECKED if checked[needed].startswith(NOT_CHECKED) else text
        for name, (needed, text) in results.items()
    }
    lines = [f"{name}: {text}" for name, text in texts.items()]
    return "\n".join(["Check for leakage", *lines, f"leaks: {'yes' if found.leaks else 'no'}"])


def leak_text(found, who):
    """Name the leaks, and the remedy."""
    if not found.n_folds:
        table = found.repeated_images
        images = _images(table[table["several_patients"]])
        text = f"{images} are in rows of several {who}s, which a split by {who} tears apart"
    else:
        text = (
            f"the split leaks, so that scores will be too good: {_in_both(found, who)} in both the "
            "training and the test set"
        )
    remedies = []
    if found.n_leaking_patients:
        remedies.append(
            "keep patients together with groups and a splitter such as StratifiedGroupKFold"
            if who == "patient"
            else "take each row into the training or the test set of a fold, not into both"
        )
    if found.n_leaking_images or not found.n_folds:
        remedies.append("leave one row of each image, or give all its rows one patient in groups")
    return f"{text}; {', and '.join(remedies)}"


def _in_both(found, who):
    patients = found.patients_in_both["patient"].unique()
    table = found.repeated_images
    images = table[table["in_both"]]
    parts = [shown(patients, who, _one_line)] if len(patients) else []
    return " and ".join(parts + ([_images(images)] if len(images) else []))


def _repeated(table):
    if not len(table):
        return "none"
    counts = table.groupby("image_id")[["several_names", "several_patients", "several_labels"]]
    counts = counts.first()
    kinds = {
        "listed again under the same name": _count_repeated_names(table),
        "under several names": counts["several_names"].sum(),
        "in rows of several patients": counts["several_patients"].sum(),
        "with several labels": counts["several_labels"].sum(),
    }
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{_images(table)}: {listed}"


def _count_repeated_names(table):
    """Count the images of which one file is listed more than once."""
    return table.loc[table.duplicated(["image_id", "image"]), "image_id"].nunique()


def _images(table):
    """Count images and say where the first ones are."""

    def text(image_id):
        rows = table[table["image_id"] == image_id]
        names = dict.fromkeys(_one_line(os.path.basename(name)) for name in rows["image"][:2])
        places = " and ".join(rows["row"][:2].astype(str))
        more = f" and {len(rows) - 2} more" if len(rows) > 2 else ""
        return f"{' = '.join(names)} in rows {places}{more}"

    return shown(table["image_id"].unique(), "image", text)


def _one_line(name):
    return " ".join(str(name).split())
