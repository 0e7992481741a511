"""Write the report of an evaluation, in all its forms."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .._utils.files import sweep_temporary_files, write_atomically
from .._utils.validation import check_parameter
from . import _card, _checks, _gallery, _results
from ._checklists import checklists
from ._cohort import check_same_patients
from ._document import Document
from ._findings import answers
from ._given import Given
from ._predictions import predictions
from ._render import html, latex, markdown

_FORMAT = 1
_TABLES = "tables"
_SECTIONS = [
    _checks.flow, _checks.patients, _checks.leaks, _checks.shortcuts, _results.rows,
    _results.differences, _results.curves, _results.calibration, _results.decision,
    _results.subgroups, _results.sites, _gallery.gallery, _card.recipe, _card.model_card,
]  # fmt: skip


def write_report(
    folder,
    evaluation,
    *,
    cohort=None,
    leakage=None,
    shortcuts=None,
    sites=None,
    gallery=None,
    settings=None,
    title=None,
):
    """Write what an evaluation found as a page for people, and as files for a paper.

    The first screen answers whether it helps, on whom it was measured, and what could be wrong with
    it, in sentences made from figures: what both intervals of a difference do not show is "not
    shown". Then follow patients, checks, figures, recipe, model card and checklists.

    Parameters
    ----------
    folder : str or path-like
        Where to write; it is made if it is not there. Files of an earlier report are replaced.
    evaluation : Bunch
        What `evaluate_scores` returned.
    cohort : Bunch, default=None
        The cohort that was evaluated, for patient flow, table one, and subgroups by age band and
        sex where `evaluation` has none.
    leakage : Bunch, default=None
        What `check_leakage` returned.
    shortcuts : Bunch, default=None
        What ``audit_shortcuts`` returned.
    sites : Bunch, default=None
        What `validate_by_site` returned.
    gallery : list or dict, default=None
        Pictures of patients: image files, figures of matplotlib, or Displays that were plotted;
        a dict has captions as keys. The file then says that it holds pictures of patients.
    settings : dict, default=None
        What was done, such as `settings` of `cross_val_scores`, with seeds and versions.
    title : str, default=None
        Heading; None for "Evaluation of" and the names of the classes.

    Returns
    -------
    list of pathlib.Path
        The files: ``report.html``, which needs no other, ``report.md``, ``evidence.json``,
        ``predictions.csv``, and ``tables/NAME.tex`` for LaTeX with the package booktabs.

    Raises
    ------
    ValueError
        For an evaluation, or another argument, that is not what it should be; for a cohort of
        other patients or other labels than were evaluated, with their numbers.
    TypeError
        For a picture of another type.
    ImageError
        For an image file that cannot be used.
    OSError
        If the folder cannot be written.

    See Also
    --------
    evaluate_scores : Metrics, intervals and differences.

    Notes
    -----
    No record number gets into any file: patients have pseudonyms that are drawn anew each time, and
    a name in a table that equals a record number of four characters or more is withheld. Tables of
    patients, subgroups and sites mask counts of 1 to 4 patients. Folders of paths are left out.

    Each file is written whole or not at all, the page last. It holds no script and loads nothing.
    Pictures need matplotlib and are left out without it.

    References
    ----------
    .. [1] Collins et al., "TRIPOD+AI statement", BMJ 385, 2024, e078378.
    .. [2] Tejani et al., "CLAIM: 2024 update", Radiology: Artificial Intelligence 6, 2024, e240300.
    .. [3] Yang, Dalton, "A unified approach to measuring the effect size between two groups", SAS
       Global Forum 2012, paper 335 (the standardized mean difference of categories).

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skosfusion import evaluate_scores, write_report
    >>> random, y = np.random.default_rng(0), np.arange(60) % 2
    >>> scores = {"All": random.normal(3.0 * y), "Baseline": random.normal(y)}
    >>> evaluation = evaluate_scores(
    ...     y, scores, groups=None, fold=y + np.arange(60) % 3, baseline="Baseline",
    ...     n_resamples=100, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_report(folder, evaluation, title="A try")
    >>> files[-1].name
    'report.html'
    """
    _check(evaluation, cohort, leakage, shortcuts, sites, gallery, settings, title)
    given = Given(
        evaluation, cohort=cohort, leakage=leakage, shortcuts=shortcuts, sites=sites,
        gallery=gallery, settings=settings,
    )  # fmt: skip
    check_same_patients(given)
    document = _document(given, title)
    contents = {f"{_TABLES}/{table.name}.tex": latex(table) for table in document.tables} | {
        "predictions.csv": predictions(given),
        "evidence.json": _evidence(given, document),
        "report.md": markdown(document),
        "report.html": html(document),
    }
    folder = Path(folder)
    (folder / _TABLES).mkdir(parents=True, exist_ok=True)
    for place in (folder, folder / _TABLES):
        sweep_temporary_files(place)
    for old in _known_tables(folder):
        if f"{_TABLES}/{old.name}" not in contents:
            old.unlink(missing_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in contents]


def _check(evaluation, cohort, leakage, shortcuts, sites, gallery, settings, title):
    needed = {
        "evaluation": (evaluation, "table differences subgroups scores fold", "evaluate_scores"),
        "cohort": (cohort, "data target groups", "load_cohort"),
        "leakage": (leakage, "leaks near_images", "check_leakage"),
        "shortcuts": (shortcuts, "table time", "audit_shortcuts"),
        "sites": (sites, "table pooled", "validate_by_site"),
    }
    for name, (value, keys, maker) in needed.items():
        is_right = isinstance(value, Mapping) and all(key in value for key in keys.split())
        if not (is_right or (value is None and name != "evaluation")):
            # What it is may hold patients.
            allowed = f"what {maker} returns" + ("" if name == "evaluation" else ", or None")
            raise ValueError(f"{name} is a {type(value).__name__}; allowed: {allowed}")
    valid = gallery is None or isinstance(gallery, Mapping | list | tuple)
    check_parameter("gallery", type(gallery).__name__, valid, "a list or dict of pictures")
    valid = settings is None or isinstance(settings, Mapping)
    check_parameter("settings", type(settings).__name__, valid, "a dict, or None")
    valid = title is None or (isinstance(title, str) and bool(title.strip()))
    check_parameter("title", title, valid, "a text, or None")


def _document(given, title):
    """Put the parts of a report together."""
    sections = [make(given) for make in _SECTIONS]
    sections += checklists(sections)
    classes = " and ".join(given.label(label) for label in given.classes)
    title = f"Evaluation of {classes}" if title is None else given.own_text(title)
    banners = []
    if given.is_synthetic:
        banners.append(
            "The cohort is SYNTHETIC, a test bed for software: no image shows a person, and no "
            "figure here is medical."
        )
    if given.gallery:
        banners.append("This file holds PICTURES OF PATIENTS. Pass it on accordingly.")
    return Document(title, banners, answers(given), sections)


def _evidence(given, document):
    """Return the figures as JSON; tables are as they are shown, with their masks."""
    record = {
        "format": _FORMAT,
        "title": document.title,
        "synthetic": given.is_synthetic,
        "answers": dict(document.answers),
        "unit": given.evaluation.unit,
        "confidence_level": float(given.evaluation.confidence_level),
        **_results.records(given),
        "tables": {t.name: {"columns": t.columns, "rows": t.rows} for t in document.tables},
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _known_tables(folder):
    """Return the LaTeX tables that a report may have left; others are not ours."""
    names = [
        "calibration", "claim", "differences", "flow", "leakage", "metrics", "metrics_threshold",
        "model_card", "recipe", "shortcuts", "sites", "sites_pooled", "subgroups", "table_one",
        "tripod", "versions", "without_imputed",
    ]  # fmt: skip
    paths = [folder / _TABLES / f"{name}.tex" for name in names]
    return [path for path in paths if os.path.lexists(path)]
