"""The recipe with seeds and versions, and the model card."""

import platform
from collections.abc import Mapping
from importlib import metadata

from ._document import Section, Table
from ._masks import FEWEST

_PACKAGES = ["skosfusion", "torch", "scikit-learn", "numpy", "scipy", "pandas", "jinja2"]
_YOURS = "yours to write"


def versions():
    """Return the versions that this report was written with."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in _PACKAGES
    }


def recipe(given):
    """Return settings, seeds and versions as they were given."""
    section = Section("recipe", "Recipe, seeds, versions", given=bool(given.settings))
    if given.settings:
        rows = [[given.text(name), given.own_text(value)] for name, value in flat(given.settings)]
        section.tables.append(Table("recipe", "Settings as given", ["setting", "value"], rows))
    else:
        section.paragraphs.append("No settings were given; cross_val_scores returns them.")
    rows = [[name, version] for name, version in versions().items()]
    caption = "Versions with which this report was written"
    section.tables.append(Table("versions", caption, ["package", "version"], rows))
    return section


def flat(settings, start=""):
    """Yield the settings within settings, with names such as "versions: torch"."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{start}{name}: ")
        else:
            yield f"{start}{name}", value


def model_card(given):
    """Return the model card: what figures tell, and what is left to write."""
    section = Section("model_card", "Model card")
    labels = ", ".join(given.label(label) for label in given.classes)
    is_external = given.sites is not None
    data = "see Patients" if given.cohort is not None else _YOURS
    lines = {
        "model": given.own_text(given.settings.get("estimator", _YOURS)),
        "task": f"tells apart {labels}, from scores for each patient",
        "intended use": f"research only, unless you say more: {_YOURS}",
        "out of scope": "patients, scanners, kits and labels other than those measured here",
        "users": _YOURS,
        "training data": data,
        "evaluation data": "out of fold" + (", and sites left out in turn" if is_external else ""),
        "figures": "see Rows with intervals, Differences, Calibration, Subgroups",
        "threshold": given.text(given.evaluation.threshold),
        "limits": "see What could be wrong with it",
        "ethics, funding, contact": _YOURS,
    }
    if given.is_synthetic:
        lines["training data"] = "SYNTHETIC: drawn images and values; no figure is medical"
    rows = [[name, value] for name, value in lines.items()]
    section.tables.append(Table("model_card", "Model card", ["", ""], rows))
    section.paragraphs.append(
        f"No record numbers are in this report. Counts of fewer than {FEWEST} patients are masked "
        "in tables of patients, subgroups and sites."
    )
    return section
