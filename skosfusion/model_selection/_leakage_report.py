"""What `check_leakage` found, in words."""

import os

from .._utils.validation import shown

NOT_CHECKED = "not checked"


def describe(found, checked, who):
    """Tell what was checked and what was found.

    Parameters
    ----------
    found : Bunch
        The findings.
    checked : dict of str to str
        What the check covered.
    who : {"patient", "row"}
        Whom the splits must keep on one side.

    Returns
    -------
    str
        Some lines.
    """
    conflicts = found.patients_with_two_labels["patient"].unique()
    results = {
        "on both sides of a split": ("folds", _both_sides(found, who) or "nothing"),
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
    """Name the leaks, and the remedy.

    Parameters
    ----------
    found : Bunch
        The findings, with a leak.
    who : {"patient", "row"}
        Whom the splits must keep on one side.

    Returns
    -------
    str
        The text of a warning or an error.
    """
    if not found.n_folds:
        table = found.repeated_images
        pictures = _pictures(table[table["several_patients"]])
        text = f"{pictures} stand in rows of several {who}s, which a split by {who} tears apart"
    else:
        text = (
            f"the split leaks, so that scores will be too good: {_both_sides(found, who)} on both "
            "sides"
        )
    remedies = []
    if found.n_leaking_patients:
        remedies.append(
            "keep patients together with groups and a splitter such as StratifiedGroupKFold"
            if who == "patient"
            else "take each row on one side of a fold only"
        )
    if found.n_leaking_images or not found.n_folds:
        remedies.append("leave one row of each picture, or give all its rows one patient in groups")
    return f"{text}; {', and '.join(remedies)}"


def _both_sides(found, who):
    patients = found.patients_on_both_sides["patient"].unique()
    table = found.repeated_images
    pictures = table[table["on_both_sides"]]
    parts = [shown(patients, who, _one_line)] if len(patients) else []
    return " and ".join(parts + ([_pictures(pictures)] if len(pictures) else []))


def _repeated(table):
    if not len(table):
        return "none"
    counts = table.groupby("picture")[["several_names", "several_patients", "several_labels"]]
    counts = counts.first()
    kinds = {
        "listed again under the same name": _has_repeated_names(table),
        "under several names": counts["several_names"].sum(),
        "in rows of several patients": counts["several_patients"].sum(),
        "with several labels": counts["several_labels"].sum(),
    }
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{_pictures(table)}: {listed}"


def _has_repeated_names(table):
    """Count the pictures of which one file is listed more than once."""
    return table.loc[table.duplicated(["picture", "image"]), "picture"].nunique()


def _pictures(table):
    """Count pictures and tell where the first ones are."""

    def text(picture):
        rows = table[table["picture"] == picture]
        names = dict.fromkeys(_one_line(os.path.basename(name)) for name in rows["image"][:2])
        places = " and ".join(rows["row"][:2].astype(str))
        more = f" and {len(rows) - 2} more" if len(rows) > 2 else ""
        return f"{' = '.join(names)} in rows {places}{more}"

    return shown(table["picture"].unique(), "picture", text)


def _one_line(name):
    return " ".join(str(name).split())
