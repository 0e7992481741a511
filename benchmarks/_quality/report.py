"""The table in words, the files that keep every score, and the picture."""

from pathlib import Path

import numpy as np
import pandas as pd
from _common import machine
from _common.files import (
    set_aside,
    sweep_temporary_files,
    write_atomically,
    write_record,
)

from skosfusion.cli import versions, wrapped

from .folds import LIMIT
from .methods import METHODS
from .statistics import LEVEL, compare

NAME = "quality"


def honesty(record):
    """Return what is to be read before any figure."""
    listed = sorted({name for one in record["data_sets"].values() for name in one["scores"]})
    candidates = [name for name in listed if name not in ("prior", "ceiling")]
    return [
        "Both real sets are small and confounded, and the embedded cohort is synthetic: a figure "
        "here compares software, and no figure here is medical.",
        f"The eyes have rested on {record['variants_seen']} variants on these data before, and on "
        f"the {len(candidates)} candidates listed here; no interval is corrected for them.",
        "Log loss and AUC of images out of fold, the mean over shuffles of the folds "
        f"({record['repeats']}); AUC over pairs within a fold, pooled: over all pairs. Differences "
        f"are those of a method minus the reference, with {LEVEL:.0%} intervals of "
        f"{record['draws']} draws of patients, the same for all methods: of the patients that were "
        "tested, not of training anew.",
    ]


def tables(record):
    """Compute the table of each data set from the scores that a record keeps."""
    found = {}
    for name, one in record["data_sets"].items():
        scores = {method: np.array(score) for method, score in one["scores"].items()}
        lines = compare(
            np.array(one["target"]),
            np.array(one["patients"]),
            np.array(one["folds"]),
            scores,
            record["reference"],
            n_draws=record["draws"],
            seed=record["seed"],
        )
        order = [method for method in METHODS if method in lines]
        order += [method for method in lines if method not in order]
        found[name] = pd.DataFrame([lines[method] for method in order], index=order)
    return found


def as_text(record, found):
    """Write the tables for people."""
    parts = ["\n".join(wrapped(line, 100) for line in honesty(record))]
    for name, table in found.items():
        one = record["data_sets"][name]
        patients, images = len(set(one["patients"])), len(one["target"])
        parts.append(
            f"{name}: {one['title']}\n"
            f"{patients} patients, {images} images, {sum(one['target'])} positive; "
            f"inputs beside the image: {', '.join(one['inputs'])}\n"
            + wrapped(one["caveat"], 100)
            + f"\n{one['encoder']}\n\n"
            + _shown(table, one["methods"]).to_string()
        )
        beyond = {method: int(np.sum(np.abs(s) >= LIMIT)) for method, s in one["scores"].items()}
        parts[-1] += "".join(
            f"\n{method}: {count} log-odds beyond {LIMIT:g}, taken as that"
            for method, count in beyond.items()
            if count
        )
        skipped = [f"left out: {method}: {why}" for method, why in one["skipped"].items()]
        parts[-1] += "".join(f"\n{line}" for line in skipped)
    skipped = [f"{name} is left out: {why}" for name, why in record["skipped"].items()]
    return "\n\n".join([*parts, *skipped]) + "\n"


def _shown(table, words):
    shown = pd.DataFrame(index=table.index)
    shown["sees"] = [words[name]["sees"] for name in table.index]
    for metric, title in (("log_loss", "log loss"), ("auc", "AUC")):
        shown[title] = table[metric].map("{:.3f}".format)
        ends = (table[f"{metric}_difference{end}"] for end in ("", "_low", "_high"))
        shown[f"{title}: difference"] = [
            "" if verdict == "reference" else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
            for value, low, high, verdict in zip(*ends, table[f"{metric}_shown"], strict=True)
        ]
        shown[f"{title}: shown"] = table[f"{metric}_shown"]
    shown["AUC pooled"] = table["auc_pooled"].map("{:.3f}".format)
    shown["slope"] = [
        "" if np.isnan(slope) else f"{slope:.2f}" for slope in table["calibration_slope"]
    ]
    shown["accuracy"] = table["accuracy"].map("{:.3f}".format)
    return shown


def scores_table(record):
    """Return every out-of-fold score, a row for each data set, method, repeat and image."""
    blocks = []
    for name, one in record["data_sets"].items():
        for method, scores in one["scores"].items():
            for repeat, (score, fold) in enumerate(zip(scores, one["folds"], strict=True)):
                blocks.append(
                    pd.DataFrame(
                        {
                            "data_set": name,
                            "method": method,
                            "repeat": repeat,
                            "row": np.arange(len(score)),
                            "patient": one["patients"],
                            "fold": fold,
                            "target": one["target"],
                            "log_odds": score,
                        }
                    )
                )
    return pd.concat(blocks, ignore_index=True)


def start(folder, run):
    """Keep the results of another run under another name."""
    folder.mkdir(parents=True, exist_ok=True)
    for ending in ("csv", "json", "png"):
        sweep_temporary_files(folder, of=f"{NAME}.{ending}")
    for old, kept in set_aside(folder, NAME, run):
        print(f"{old} held the results of another run; they are kept as {kept}")


def keep(folder, record):
    """Write the record with all scores that are there so far."""
    write_record(Path(folder) / f"{NAME}.json", record)


def write(folder, record, found):
    """Write all files, and return their paths."""
    folder = Path(folder)
    record = record | {"versions": versions(), "machine": machine.facts()}
    keep(folder, record)
    table = pd.concat(found, names=["data_set", "method"])
    files = {
        "csv": table.to_csv().encode(),
        "scores.csv": scores_table(record).to_csv(index=False).encode(),
        "txt": as_text(record, found).encode(),
    }
    for ending, content in files.items():
        write_atomically(folder / f"{NAME}.{ending}", content)
    paths = [folder / f"{NAME}.{ending}" for ending in ("json", *files)]
    try:
        from .picture import draw
    except ImportError as error:
        print(f"no picture: {error}")
        return paths
    paths.append(folder / f"{NAME}.png")
    draw(record, found, honesty(record)).savefig(paths[-1], dpi=130)
    return paths
