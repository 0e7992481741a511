"""What an ablation has found, for the model of all rows: its inputs, and a recalibration."""

import json
from pathlib import Path

import pandas as pd

from .._utils.files import read_regular_file
from .._utils.validation import did_you_mean
from ..evaluation import Recalibration, evaluate_scores
from ._errors import DataProblemError, UsageError
from ._files import plain
from ._options import NOT_DECIDING
from ._predictions import NAME
from ._units import describe_run

_MAX_BYTES = 2**28
# What tables and folders hold is part of the digest of a run, wherever they lie.
_PASSED_OVER = NOT_DECIDING | {"command", "image_table", "clinical_table", "image_folder"}


def read_ablation(folder):
    """Read the record of an ablation; one that has split images is refused."""
    path = Path(folder) / "ablation.json"
    try:
        record = json.loads(read_regular_file(path, _MAX_BYTES)[0])
        told, _ = record["run"]["options"], record["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--ablation {folder}: this must be the --out of a finished skosfusion ablation; "
            f"{path} cannot be read ({error})"
        ) from error
    if told.get("image_wise"):
        raise UsageError(
            f"--ablation {folder}: it has split images, not patients, so its scores are too good "
            "to recalibrate by; run it without --image-wise"
        )
    return record | {"folder": Path(folder)}


def choose_row(ablation, row):
    """Return the row whose model is fitted: the one named, else "All", else the last."""
    rows = list(ablation["rows"])
    if row is None:
        return "All" if "All" in rows else rows[-1]
    if row not in rows:
        hint = did_you_mean(row, rows)
        raise UsageError(
            f"--row {row!r} is none of {', '.join(map(repr, rows))}{'; ' * bool(hint)}{hint}"
        )
    return row


def check_same_run(ablation, options, settings, cohort):
    """Refuse an ablation of other options, tables, images or versions."""
    run, given = ablation["run"], vars(options)
    same = {name for name in run["options"] if name in given} - _PASSED_OVER
    differ = [
        f"--{name.replace('_', '-')} {run['options'][name]} there, {given[name]} here"
        for name in sorted(same)
        if run["options"][name] != json.loads(json.dumps(given[name], default=str))
    ]
    if differ:
        raise UsageError(
            f"--ablation {ablation['folder']} is of other options: {'; '.join(differ)}"
        )
    if run["digest"] != describe_run(options, settings, cohort)["digest"]:
        raise DataProblemError(
            f"--ablation {ablation['folder']} is of other tables, images, weights or versions of "
            "the packages; run skosfusion ablation again"
        )


def recalibration_of(ablation, row, cohort, options):
    """Find the recalibration of a row by its scores out of fold."""
    path = ablation["folder"] / NAME
    try:
        # As text: how exactly pandas reads numbers depends on its version.
        cells = pd.read_csv(path, dtype="str", keep_default_na=False)
        labels, fold = (cells[name].astype(int).to_numpy() for name in ("label", "fold"))
        patients, scores = cells["patient"], cells[plain(row)].astype(float).to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); run skosfusion ablation again"
        ) from error
    if len(cells) != len(cohort.data):
        raise UsageError(
            f"{path} has {len(cells)} lines for {len(cohort.data)} images; run skosfusion "
            "ablation again"
        )
    try:
        evaluation = evaluate_scores(
            labels,
            {row: scores},
            groups=patients,
            fold=fold,
            label_rule="any" if options.label_conflicts == "keep" else None,
            are_log_odds=True,
            random_state=options.seed,
        )
        return Recalibration.from_evaluation(evaluation, row)
    except ValueError as error:
        raise DataProblemError(f"no recalibration: {error}; or leave --ablation out") from error
