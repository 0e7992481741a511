"""All methods on all data sets, as the record that the report is made of."""

import hashlib
import json
import sys
import time

import numpy as np
from tqdm.auto import tqdm

from skosfusion.network import choose_encoder

from . import cohorts, folds, report
from .methods import METHODS, usual, why_not
from .options import REFERENCE
from .prepared import prepare

# Where it runs, and what it is joined with.
_NOT_DECIDING = {"out", "data", "data_home", "join", "table", "list"}


def score_all(options):
    """Score all methods on all data sets, and return the record of the run."""
    reference = options.reference or REFERENCE
    names = usual() if options.methods is None else list(options.methods)
    names += [reference] if reference not in names else []
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        sys.exit(f"--methods {unknown[0]!r} is none of {', '.join(METHODS)}")
    try:
        encoder = choose_encoder(options.backbone, options.weights, tell=print)
    except ValueError as error:
        sys.exit(f"--backbone {options.backbone}, --weights {options.weights}: {error}")
    earlier = json.loads(options.join.read_text()) if options.join else {"data_sets": {}}
    deciding = {name: value for name, value in vars(options).items() if name not in _NOT_DECIDING}
    record = {
        "run": {"options": json.loads(json.dumps(deciding, default=str))},
        "variants_seen": options.variants_seen,
        "repeats": options.repeats,
        "draws": options.draws,
        "seed": options.seed,
        "reference": reference,
        "data_sets": {},
        "skipped": {},
    }
    report.start(options.out, record["run"])
    for name in options.data_sets:
        try:
            data_set = cohorts.load(name, options)
        except FileNotFoundError as error:
            record["skipped"][name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
            continue
        print(f"{name}: {data_set.title}; {data_set.caveat}", flush=True)
        one = record["data_sets"][name] = _describe(data_set, encoder, options)
        _join(one, earlier["data_sets"].get(name), anew=options.methods or ())
        _score(data_set, names, encoder, options, record)
    if not record["data_sets"]:
        sys.exit("no data set is there: " + "; ".join(record["skipped"].values()))
    return record


def _describe(data_set, encoder, options):
    """Return what a record keeps of a data set, without any score."""
    assigned = folds.assign(
        data_set.target,
        data_set.groups,
        n_folds=options.folds,
        n_repeats=options.repeats,
        seed=options.seed,
    )
    values = data_set.data.drop(columns="image").to_csv(index=False)
    return {
        "title": data_set.title,
        "caveat": data_set.caveat,
        "is_synthetic": data_set.is_synthetic,
        "inputs": list(data_set.inputs),
        "encoder": f"{encoder.description}, fixed, {options.image_size} pixels",
        "digest": hashlib.sha256(values.encode()).hexdigest(),
        # Patients by number: a name is nobody's business here.
        "patients": np.unique(data_set.groups, return_inverse=True)[1].tolist(),
        "target": data_set.target.tolist(),
        "folds": assigned.tolist(),
        "methods": {},
        "scores": {},
        "seconds": {},
        "skipped": {},
    }


def _join(one, earlier, *, anew):
    """Take the scores of an earlier run on the same data and folds, but for methods to run anew."""
    same = ("digest", "inputs", "encoder", "target", "folds")
    if earlier is None or any(earlier[key] != one[key] for key in same):
        return
    for part in ("methods", "scores", "seconds"):
        one[part] |= {name: value for name, value in earlier[part].items() if name not in anew}


def _score(data_set, names, encoder, options, record):
    """Score the methods that have no scores yet, and keep what is there after each."""
    one, todo = record["data_sets"][data_set.name], {}
    for name in names:
        if name in one["scores"]:
            continue
        reason = why_not(METHODS[name], data_set)
        if reason is None:
            todo[name] = METHODS[name]
        else:
            one["skipped"][name] = reason
    if not todo:
        return
    print("encoding the images", flush=True)
    prepare(data_set, encoder, options, todo)
    assigned = np.array(one["folds"])
    with tqdm(total=len(todo) * assigned.shape[0] * options.folds, unit="fit") as bar:
        for name, method in todo.items():
            bar.set_description(name)
            started = time.monotonic()
            scores = folds.scores_of(method, data_set, assigned, bar.update)
            one["scores"][name] = scores.tolist()
            one["seconds"][name] = round(time.monotonic() - started, 2)
            one["methods"][name] = {"sees": method.sees, "words": method.words}
            report.keep(options.out, record)
