"""Reproduce the paper's ablation table: what each clinical input adds to the image.

Run it with ``--help`` for the options.
"""

import sys
import time
from pathlib import Path

from ablation_support.options import parse


def main(arguments=None):
    """Run the ablation.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Command line without the program's name; None takes the real one.

    Returns
    -------
    DataFrame
        The table.
    """
    options = parse(arguments)
    started = time.monotonic()
    # Loading torch takes seconds, and nothing here is silent for long.
    print("loading skosfusion", flush=True)
    import torch
    from ablation_support import data, encoder, report, units

    from skosfusion import FusionClassifier, make_fusion_pipeline
    from skosfusion.classifier import shared_feature_cache
    from skosfusion.datasets import get_data_home
    from skosfusion.exceptions import WeightsError

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
    leaking = data.count_leaking_patients(cohort, folds)
    split = f"{options.folds} folds by patient"
    if options.image_wise:
        split = (
            f"{options.folds} folds by image, LEAKING: {leaking} patients stand on both sides of a "
            "split, so the scores are too good"
        )
    print(split, flush=True)

    try:
        weights, weights_description = encoder.choose_weights(options)
    except ValueError as error:
        sys.exit(f"--backbone {options.backbone}, --weights {options.weights}: {error}")
    optimizer = options.optimizer
    if optimizer == "auto":
        optimizer = "adam" if options.frozen_epochs == "all" else "sgd"
    model = {
        "optimizer": {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer],
        "backbone": options.backbone,
        "weights": weights,
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
        # One epoch on everything encodes each image once; all fits then find the features.
        print("encoding the images", flush=True)
        first = FusionClassifier(
            image_column="image",
            memory=memory,
            **(model | {"max_epochs": 1, "frozen_epochs": "all"}),
        )
        try:
            first.fit(cohort.data[["image"]], cohort.target)
        except WeightsError as error:
            sys.exit(str(error))
        except OSError as error:
            sys.exit(f"{error}\n(--unusable-images exclude leaves such rows out)")
        info = shared_feature_cache().info()
        print(
            f"features: {info.misses} computed, {info.folder_hits} found in {memory}, "
            f"{info.n_bytes / 2**20:.1f} MB",
            flush=True,
        )
    pipeline = make_fusion_pipeline(clinical=clinical, memory=memory, verbose=0, **model)
    settings = model | {
        "optimizer": optimizer,
        "weights_file": units.file_digest(weights),
        "versions": report.versions(),
    }
    cv_results = units.run(
        pipeline,
        cohort,
        rows,
        folds,
        settings=settings,
        folder=Path(options.out) / "parts",
        jobs=options.jobs,
        # A head trains in seconds, which a process would spend on loading torch. Threads wait for
        # each other where an encoder draws random numbers while it trains.
        backend="threading" if options.frozen_epochs == "all" else "loky",
    )

    two_stages = "encoder fixed throughout"
    if options.frozen_epochs != "all":
        two_stages = f"encoder fixed for {options.frozen_epochs} epochs, then trained"
    title = (
        f"{source}\n{options.backbone}, {weights_description}, {two_stages}, {optimizer}; {split}"
    )
    table = report.make_table(cv_results, rows, cohort, with_paper=embedded)
    record = {
        "title": title,
        "settings": vars(options) | {"weights_used": weights_description},
        "rows": rows,
        "leaking_patients": leaking,
        "cohort": cohort.DESCR,
    }
    files = report.write(options.out, table, cv_results, rows, record)
    print(f"\n{title}\nmean ± standard deviation over the folds\n")
    print(report.format_table(table))
    majority = max(cohort.target.mean(), 1 - cohort.target.mean())
    print(f"\nFor comparison, always naming the larger class: accuracy {majority:.4f}")
    if embedded:
        print("The cohort is synthetic, a test bed for the software: no figure here is medical.")
    print("\n" + "\n".join(f"written: {file}" for file in files))
    print(f"{time.monotonic() - started:.0f} s in all")
    return table


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same command again to go on from here")
