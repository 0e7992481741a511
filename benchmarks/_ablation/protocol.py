"""From the options to data, folds and a pipeline that is ready to be fitted."""

import sys
import textwrap

import torch
from sklearn.utils import Bunch

from skosfusion import FusionClassifier, make_fusion_pipeline
from skosfusion.classifier import shared_feature_cache
from skosfusion.datasets import get_data_home
from skosfusion.exceptions import WeightsError

from . import data, encoder, report, units


def prepare(options):
    """Load, check and split the data, find the encoder, and encode the images once."""
    embedded = options.image_table is None
    print("drawing the cohort" if embedded else "reading the tables", flush=True)
    try:
        cohort = data.load(options)
        rows = data.choose_rows(options.rows, cohort)
        folds = data.make_folds(options, cohort)
        clinical = data.make_clinical(cohort, rows, folds)
    except (OSError, TypeError, ValueError) as error:
        sys.exit(
            f"{error}\n(the names are those after --column and --kit; text that means a missing "
            "value is declared with --na-value TEXT, patients with two labels with "
            "--label-conflicts keep)"
        )
    n_patients, n_images = len(set(cohort.groups)), len(cohort.data)
    source = "embedded SYNTHETIC cohort" if embedded else str(options.image_table)
    print(
        f"{source}: {n_patients} patients, {n_images} images, {int(cohort.target.sum())} positive",
        flush=True,
    )
    if not embedded:
        print(textwrap.indent(cohort.DESCR.strip(), "    "), flush=True)
    try:
        leakage = data.find_leaks(options, cohort, folds)
    except OSError as error:
        _exit_unusable(error)
    split = f"{options.folds} folds by patient"
    if options.image_wise:
        split = (
            f"{options.folds} folds by image, LEAKING: {leakage.n_leaking_patients} patients are "
            "in both the training and the test set, so the scores are too good"
        )
    print(split, flush=True)

    try:
        chosen = encoder.choose_encoder(options)
    except ValueError as error:
        sys.exit(f"--backbone {options.backbone}, --weights {options.weights}: {error}")
    optimizer = options.optimizer
    model = {
        "optimizer": {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer],
        "backbone": chosen.backbone,
        "weights": chosen.weights,
        "image_size": options.image_size,
        "max_epochs": options.epochs,
        "batch_size": options.batch_size,
        "frozen_epochs": options.frozen_epochs,
        "precision": options.precision,
        "device": options.device,
        "random_state": options.seed,
        "image_options": None if options.frame is None else {"frame": options.frame},
    }
    memory = get_data_home(options.data_home) / "memory"
    if options.frozen_epochs != 0:
        _encode(cohort, memory, model)
    two_stages = "encoder fixed throughout"
    if options.frozen_epochs != "all":
        two_stages = f"encoder fixed for {options.frozen_epochs} epochs, then trained"
    size = options.image_size
    pixels = "" if size is None else f", images of {size} x {size} pixels"
    return Bunch(
        cohort=cohort,
        rows=rows,
        folds=folds,
        leakage=leakage,
        model=model,
        memory=memory,
        pipeline=make_fusion_pipeline(clinical=clinical, memory=memory, verbose=0, **model),
        settings=model
        | {
            "optimizer": optimizer,
            "weights_file": units.file_digest(chosen.weights),
            "versions": report.versions(),
        },
        title=f"{source}\n{chosen.description}{pixels}, {two_stages}, {optimizer}; {split}",
        weights=chosen.description,
    )


def _encode(cohort, memory, model):
    """Fit one epoch on everything, which encodes each image once; all fits find the features."""
    print("encoding the images", flush=True)
    first = FusionClassifier(
        image_column="image", memory=memory, **(model | {"max_epochs": 1, "frozen_epochs": "all"})
    )
    try:
        first.fit(cohort.data[["image"]], cohort.target)
    except WeightsError as error:
        sys.exit(str(error))
    except OSError as error:
        _exit_unusable(error)
    info = shared_feature_cache().info()
    print(
        f"features: {info.misses} computed, {info.folder_hits} found in {memory}, "
        f"{info.n_bytes / 2**20:.1f} MB",
        flush=True,
    )


def _exit_unusable(error):
    sys.exit(f"{error}\n(--unusable-images exclude leaves such rows out)")
