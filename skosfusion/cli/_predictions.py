"""The log-odds of each image out of fold, under pseudonyms, and the key in a file of its own."""

import csv
import io
import os
import random

from .._utils.files import write_atomically
from ._files import plain

NAME, KEY = "predictions.csv", "predictions-key.csv"


def set_predictions_aside(folder, mark):
    """Rename the predictions of another run, and their key; return old and new paths."""
    moved = []
    for name in (NAME, KEY):
        path = folder / name
        if path.exists():
            kept = path.with_name(f"{path.stem}-{mark}{path.suffix}")
            os.replace(path, kept)
            moved.append((path, kept))
    return moved


def write_predictions(folder, result):
    """Write what `cross_val_scores` gave, one line an image; return the paths.

    Patients are "P0001" and so on in random order, and the lines are in the order of these: neither
    says who stands where in the table. The key is for its owner alone.
    """
    patients = [str(patient) for patient in result.groups]
    pseudonyms = _read_key(folder / KEY)
    if pseudonyms.keys() != set(patients):
        # Predictions must never lie beside the key of others.
        (folder / NAME).unlink(missing_ok=True)
        pseudonyms = _draw(patients)
        lines = [["pseudonym", "patient"]]
        lines += sorted([pseudonym, plain(patient)] for patient, pseudonym in pseudonyms.items())
        _write(folder / KEY, lines, mode=0o600)
    seen, lines = {}, []
    for row, patient in enumerate(patients):
        seen[patient] = seen.get(patient, 0) + 1
        scores = [float(of_row[row, 0]) for of_row in result.scores.values()]
        numbers = [seen[patient], int(result.y[row]), int(result.fold[row, 0])]
        lines.append([pseudonyms[patient], *numbers, *scores])
    lines.sort()
    os.chmod(folder / KEY, 0o600)
    _write(
        folder / NAME, [["patient", "image", "label", "fold", *map(plain, result.scores)], *lines]
    )
    return [folder / NAME, folder / KEY]


def _draw(patients):
    """Give each patient a pseudonym by chance; no seed gives it again."""
    names = sorted(set(patients))
    numbers = list(range(1, len(names) + 1))
    random.SystemRandom().shuffle(numbers)
    return {name: f"P{number:04d}" for name, number in zip(names, numbers, strict=True)}


def _read_key(path):
    """Read the key of an earlier run; one that is not there or damaged has nobody."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            found = {
                _as_it_was(line["patient"]): line["pseudonym"] for line in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, csv.Error):
        return {}
    expected = {f"P{number:04d}" for number in range(1, len(found) + 1)}
    return found if set(found.values()) == expected else {}


def _as_it_was(text):
    """Return what `plain` was given."""
    return text[1:] if plain(text[1:]) == text else text


def _write(path, lines, mode=None):
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n").writerows(lines)
    write_atomically(path, content.getvalue().encode(errors="surrogatepass"), mode=mode)
