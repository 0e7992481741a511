"""The command `predict`: a table in, a table with probabilities out."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from .._utils.files import sweep_temporary_files, write_atomically
from .._utils.progress import progress_bar
from ..evaluation import patient_scores
from ..persistence import load_recalibration, load_summary
from ._errors import UsageError, data_problems
from ._files import plain
from ._fitted import check_inputs, chunks, open_model
from ._tables import load_without_labels


def run(options, output):
    """Predict and write, and return the record for scripts."""
    out = Path(options.out)
    _check_out(out, options)
    model, summary = open_model(options), _summary(options.model, output)
    output.say("reading the tables")
    with data_problems():
        cohort = load_without_labels(options, output)
    data, classes = cohort.data, model.classes_
    check_inputs(model, data)
    output.say(f"{len(data)} images of {len(set(cohort.groups))} patients")
    probabilities, scores, labels = [], [], []
    warnings = [[] for _ in range(len(data))]
    parts = list(chunks(model, len(data)))
    for rows in progress_bar(parts, shown=None, desc="predicting", unit="part"):
        part = data.iloc[rows]
        with data_problems():
            probabilities.append(model.predict_proba(part))
        scores.append(model.decision_function(part))
        labels.append(classes[probabilities[-1].argmax(axis=1)])
        for row, text in outside(model, summary, part):
            warnings[row].append(text)
    scores = np.concatenate(scores)
    recalibration = load_recalibration(options.model)
    lines = _lines(
        cohort,
        np.concatenate(probabilities),
        scores,
        np.concatenate(labels),
        warnings,
        classes,
        recalibration,
    )
    sweep_temporary_files(out.absolute().parent, of=out.name)
    write_atomically(out, _as_csv(lines), mode=0o600)
    n_warned = sum(map(bool, warnings))
    if n_warned:
        output.warn(
            f"{n_warned} of {len(data)} images lie outside of what the model was trained on; see "
            "the last column"
        )
    output.say(f"written: {out} (with record numbers: for its owner alone)")
    return {
        "out": str(out),
        "n_images": len(data),
        "n_patients": len(set(cohort.groups)),
        "n_images_with_warnings": n_warned,
        "classes": classes.tolist(),
        "is_recalibrated": recalibration is not None,
        "configuration": options.configuration,
    }


def outside(model, summary, part):
    """Yield the position in the table and a sentence for what a model was not trained on."""
    if summary is None:
        return
    for line in summary.check(model, part).itertuples():
        value = f"{line.value:.4g}" if isinstance(line.value, float) else line.value
        yield line.row, f"{line.column}: {value} ({line.kind}; usual: {line.usual})"


def _summary(path, output):
    """Return what the model was trained on; None where its file does not say."""
    summary = load_summary(path)
    if summary is None:
        output.warn(
            "the model does not say what it was trained on, so no row is compared with that"
        )
    return summary


def _check_out(out, options):
    """Refuse to write over what is read, and into no folder, before any work is done."""
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise UsageError(f"--out {out}: this must be a file in a folder that exists")
    read = [options.model, *(options.image_table or []), *(options.clinical_table or [])]
    for path in read:
        if out.exists() and os.path.exists(path) and out.samefile(path):
            raise UsageError(f"--out {out} is {path}, which is read; give another name")


def _lines(cohort, probabilities, scores, labels, warnings, classes, recalibration):
    """Yield the lines of the output, the names of the columns first."""
    patients, joined = patient_scores(scores, cohort.groups)
    if scores.ndim == 1:
        names, shown = ["probability"], probabilities[:, 1:]
        of_patient = expit(joined)[:, None]
        label_of_patient = classes[(joined > 0).astype(int)]
        if recalibration is not None:
            names = [*names, "recalibrated"]
            shown = _beside(shown, recalibration.probabilities(scores)[:, 1])
            of_patient = _beside(of_patient, recalibration.probabilities(joined)[:, 1])
    else:
        names, shown = [f"probability_{label}" for label in classes], probabilities
        of_patient = softmax(joined, axis=1)
        label_of_patient = classes[of_patient.argmax(axis=1)]
    number = {patient: position for position, patient in enumerate(patients)}
    patient_names = [f"patient_{name}" for name in names]
    yield ["row", "image", "patient_id", *names, "label", *patient_names, "patient_label",
           "warnings"]  # fmt: skip
    for row, (path, patient) in enumerate(zip(cohort.data["image"], cohort.groups, strict=True)):
        at = number[patient]
        name = os.path.basename(path) if isinstance(path, str) else ""
        # As many digits as bring back each number to the bit.
        values, values_of_patient = map(str, shown[row]), map(str, of_patient[at])
        yield [
            row, plain(name), plain(patient), *values, labels[row], *values_of_patient,
            label_of_patient[at], plain("; ".join(warnings[row])),
        ]  # fmt: skip


def _beside(one, other):
    """Put columns beside each other, each number of its own type, so that it keeps its digits."""
    return np.column_stack([one.astype(object), other.astype(object)])


def _as_csv(lines):
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n").writerows(lines)
    return content.getvalue().encode(errors="surrogatepass")
