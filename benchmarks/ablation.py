"""Reproduce the paper's ablation table: what each clinical input adds to the image.

On the embedded synthetic cohort; with any other option, such as a table of one's own, it is
`skosfusion ablation`. Run it with ``--help`` for the options. Killed and run again with the same
options, it goes on where it stopped.
"""

import argparse
import sys
import time
from pathlib import Path


def _all_or_number(text):
    return text if text == "all" else int(text)


def parse(arguments):
    """Read the few options of this script; return None where there are others."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    number = {"type": int}
    parser.add_argument("--patients", **number, default=848, help="size of the cohort")
    parser.add_argument("--image-size", **number, help="default: the size of the weights")
    parser.add_argument("--frozen-epochs", type=_all_or_number, default="all", help="or a number")
    parser.add_argument("--epochs", **number, default=50)
    parser.add_argument("--batch-size", **number, default=256)
    parser.add_argument("--folds", **number, default=5)
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="of the table, by name")
    parser.add_argument("--backbone", help="default: resnet18, the paper's")
    parser.add_argument("--weights", default="auto", help="auto, none, a name or a file")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--jobs", **number, default=1, help="fits at a time")
    parser.add_argument("--seed", **number, default=0, help="decides folds and training")
    parser.add_argument("--report", action="store_true", help="a report of all, by patient")
    parser.add_argument("--data-home", help="where drawn images and features are kept")
    parser.add_argument("--out", type=Path, default=Path("ablation-results"))
    options, others = parser.parse_known_args(arguments)
    from skosfusion import ABLATIONS

    named = set(options.rows or ()) <= set(ABLATIONS)
    valid = min(options.folds - 1, options.jobs, options.patients) > 0
    return options if named and valid and not others else None


def main(arguments=None):
    """Run the ablation, and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    from skosfusion import cli

    options = parse(arguments)
    if options is None:
        return cli.main(["ablation", *arguments])
    started = time.monotonic()
    # Loading torch takes seconds, and nothing here is silent for long.
    print("loading skosfusion", flush=True)
    try:
        with cli.locked(options.out):
            run(options)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{time.monotonic() - started:.0f} s in all")
    return 0


def run(options):
    """Draw, encode, fit and evaluate."""
    import joblib
    from sklearn.model_selection import StratifiedGroupKFold
    from tqdm.auto import tqdm

    from skosfusion import ABLATIONS, ImageEncoder, ablation_table, check_leakage, cli
    from skosfusion import cross_val_scores, evaluate_scores, make_fusion_pipeline
    from skosfusion.datasets import get_data_home, make_osteosarcoma_cohort
    from skosfusion.network import choose_encoder

    print("drawing the cohort", flush=True)
    of_cohort = {"n_patients": options.patients, "data_home": options.data_home}
    cohort = make_osteosarcoma_cohort(**of_cohort, random_state=0, n_jobs=-1)
    X, y, patients = cohort.data, cohort.target, cohort.groups
    splitter = StratifiedGroupKFold(options.folds, shuffle=True, random_state=options.seed)
    folds = list(splitter.split(X, y, patients))
    leakage = check_leakage(X, patients, folds, target=y)
    print(leakage.DESCR, flush=True)

    encoder = choose_encoder(options.backbone, options.weights, tell=print)
    image = {"backbone": encoder.backbone, "weights": encoder.weights}
    image |= {"image_size": options.image_size, "precision": options.precision}
    image |= {"random_state": options.seed}
    decides = image | {"weights_file": cli.weights_digest(encoder.weights)}
    run_facts = cli.describe_run(options, decides | {"versions": cli.versions()}, cohort)
    image |= {"memory": get_data_home(options.data_home) / "memory"}
    first = ImageEncoder(**image)
    if options.frozen_epochs != 0:
        print("encoding the images", flush=True)
        print(f"features: {len(first.fit_transform(X[['image']]))} images", flush=True)
    training = {"max_epochs": options.epochs, "batch_size": options.batch_size, "verbose": 0}
    pipeline = make_fusion_pipeline(frozen_epochs=options.frozen_epochs, **training, **image)
    rows = {name: ABLATIONS[name] for name in options.rows or ABLATIONS}
    beside = cli.comparators(pipeline, rows) if options.report else {}

    n_fits = len(rows | beside) * options.folds
    with (
        tqdm(total=n_fits, unit="fit", desc="ablation") as bar,
        cli.heartbeat(bar),
        joblib.parallel_config("threading" if options.frozen_epochs == "all" else "loky"),
    ):
        result = cross_val_scores(
            pipeline, X, y, rows | beside,
            groups=patients, cv=folds, n_jobs=options.jobs, random_state=0,
            folder=options.out / "parts",
            progress=lambda n_done, n: bar.update(n_done - bar.n),
        )  # fmt: skip
        bar.update(n_fits - bar.n)

    table = cli.add_counts(ablation_table(result.cv_results, rows, estimator=pipeline), cohort)
    if options.report:
        table = cli.add_comparators(table, result, cohort, folds)
    alone = [name for name in rows if not rows[name]]
    evaluation = evaluate_scores(
        result.y, result.scores,
        groups=result.groups, fold=result.fold,
        metrics=None if options.report else ["auc"],
        baseline=(alone or list(rows))[0], random_state=options.seed,
    )  # fmt: skip
    by_patient = cli.figures(evaluation)
    title = f"embedded SYNTHETIC cohort, {encoder.description}, {options.folds} folds by patient"
    engine = result.settings.get("engine")
    settings = {"options": vars(options), "weights": encoder.description, "engine": engine}
    record = {"title": title, "run": run_facts, "settings": settings, "cohort": cohort.DESCR}
    record |= {"rows": rows, "leaking_patients": leakage.n_leaking_patients}
    record |= {"leakage": cli.leakage(leakage), "by_patient": by_patient.to_dict("index")}
    files = cli.write_ablation(options.out, table, result, rows, record, cli.Output())
    print("\n".join(f"written: {file}" for file in files))
    print(f"\n{title}\n\n{cli.format_table(table)}\n")
    print("by patient, with 95 % intervals; difference from the image alone\n")
    print(cli.format_figures(by_patient))
    larger = max(y.mean(), 1 - y.mean())
    print(f"\nFor comparison, always naming the larger class: accuracy {larger:.4f}")
    if options.report:
        about = evaluation, cohort, leakage, folds, result.settings | settings
        print(f"written: {cli.write_cohort_report(options.out / 'report', *about)[-1]}")
    print("The cohort is synthetic, a test bed for the software: no figure here is medical.")


if __name__ == "__main__":
    sys.exit(main())
