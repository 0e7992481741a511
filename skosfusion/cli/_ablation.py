"""The command `ablation`: what each clinical input adds to the image."""

import time
from pathlib import Path

from ._lock import locked
from ._protocol import is_embedded, prepare


def run(options, output):
    """Run the ablation, write its files, and return the record for scripts."""
    started = time.monotonic()
    folder = Path(options.out)
    with locked(folder):
        prepared = prepare(options, output)
        return _run(options, output, prepared, folder, started)


def _run(options, output, prepared, folder, started):
    from ..model_selection import CLASS_WEIGHTED, ablation_table
    from . import _patients as patients
    from . import _results as results
    from ._units import describe_run, run_units

    cohort, rows = prepared.cohort, prepared.rows
    embedded = is_embedded(options)
    more = patients.comparators(prepared.pipeline, rows) if options.report else {}
    more |= {"All inputs, class-weighted": CLASS_WEIGHTED} if options.class_weighted else {}
    result = run_units(
        prepared.pipeline,
        cohort,
        rows | more,
        prepared.folds,
        settings=prepared.settings,
        folder=folder / "parts",
        jobs=options.jobs,
        allow_leaks=options.image_wise,
        # A head trains in seconds, which a process would spend on loading torch. Threads wait for
        # each other where an encoder draws random numbers while it trains.
        backend="threading" if options.frozen_epochs == "all" else "loky",
    )

    table = ablation_table(result.cv_results, rows, estimator=prepared.pipeline)
    table = results.add_counts(table, cohort, with_paper=embedded)
    if more:
        table = patients.add_comparators(table, result, cohort, prepared.folds)
    evaluation = patients.evaluate(result, rows, options, output)
    by_patient = None if evaluation is None else patients.figures(evaluation)
    configuration = options.configuration
    record = {
        "title": prepared.title,
        "run": describe_run(options, prepared.settings, cohort),
        "configuration": configuration,
        "settings": vars(options)
        | {"weights_used": prepared.weights, "engine_used": prepared.engine},
        "rows": rows,
        "leaking_patients": prepared.leakage.n_leaking_patients,
        "leakage": results.leakage(prepared.leakage),
        "cohort": cohort.DESCR,
        "by_patient": None if by_patient is None else by_patient.to_dict("index"),
    }
    files = results.write_ablation(folder, table, result, rows, record, output)
    if options.report and evaluation is not None:
        of_run = {"model": prepared.settings, "weights": prepared.weights}
        of_run |= {} if configuration is None else {"configuration file": configuration}
        written = patients.write_cohort_report(
            folder / "report",
            evaluation,
            cohort,
            prepared.leakage,
            prepared.folds,
            result.settings | of_run,
            random_state=options.seed,
        )
        files += written[-1:]
    output.say(f"\n{prepared.title}\nmean ± standard deviation over the folds\n")
    output.say(results.format_table(table))
    if by_patient is not None:
        output.say("\nby patient, with 95 % intervals; difference from the image alone\n")
        output.say(patients.format_figures(by_patient))
    majority = max(cohort.target.mean(), 1 - cohort.target.mean())
    output.say(f"\nFor comparison, always naming the larger class: accuracy {majority:.4f}")
    if embedded:
        output.say(
            "The cohort is synthetic, a test bed for the software: no figure here is medical."
        )
    output.say("\n" + "\n".join(f"written: {file}" for file in files))
    output.say(f"{time.monotonic() - started:.0f} s in all")
    return {
        "title": prepared.title,
        "table": table.to_dict("index"),
        "by_patient": record["by_patient"],
        "leaking_patients": record["leaking_patients"],
        "configuration": configuration,
        "files": [str(file) for file in files],
    }
