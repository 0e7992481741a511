"""The scores that all figures are from, under pseudonyms."""

import csv
import io
import random
import re

import numpy as np

# Also as a spreadsheet in Asia writes them.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def predictions(given):
    """Return label, fold and scores of each unit as CSV, without saying who it is.

    Pseudonyms are drawn by the system and lines are in their order, so that neither a seed nor the
    order of the table says who is who; no key is written.
    """
    evaluation = given.evaluation
    names = np.unique(np.asarray(evaluation.groups, str))
    numbers = list(range(1, len(names) + 1))
    random.SystemRandom().shuffle(numbers)
    width = max(4, len(str(len(names))))
    pseudonym = {name: f"P{n:0{width}d}" for name, n in zip(names, numbers, strict=True)}
    n_repeats = evaluation.fold.shape[1]
    heads, columns = [], []
    for repeat in range(n_repeats):
        after = f" (repeat {repeat + 1})" if n_repeats > 1 else ""
        heads.append(f"fold{after}")
        columns.append([str(int(one)) for one in evaluation.fold[:, repeat]])
        for row, score in evaluation.scores.items():
            classes = [None] if given.is_binary else range(len(given.classes))
            for code in classes:
                one = score[:, repeat] if code is None else score[:, code, repeat]
                of_class = "" if code is None else f": {given.label(given.classes[code])}"
                heads.append(csv_cell(f"{given.text(row)}{of_class}{after}"))
                columns.append([repr(float(value)) for value in one])
    lines = [
        [pseudonym[str(patient)], csv_cell(given.label(label)), *values]
        for patient, label, *values in zip(evaluation.groups, evaluation.y, *columns, strict=True)
    ]
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\n")
    writer.writerows([["patient", "label", *heads], *sorted(lines)])
    return content.getvalue()


def csv_cell(text):
    """Return a text that no spreadsheet takes for a formula; numbers stay numbers."""
    is_formula = text.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
