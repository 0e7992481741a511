"""Reproduce the paper's ablation table: what each clinical input adds to the image.

Run it with ``--help`` for the options.
"""

import sys
import time
from pathlib import Path

from _ablation.options import parse


def main(arguments=None):
    """Run the ablation."""
    options = parse(arguments)
    started = time.monotonic()
    # Loading torch takes seconds, and nothing here is silent for long.
    print("loading skosfusion", flush=True)
    from _ablation import patients, protocol, report, units

    prepared = protocol.prepare(options)
    cohort, rows = prepared.cohort, prepared.rows
    embedded = options.image_table is None
    result = units.run(
        prepared.pipeline,
        cohort,
        rows | patients.comparators(prepared) if options.report else rows,
        prepared.folds,
        settings=prepared.settings,
        folder=Path(options.out) / "parts",
        jobs=options.jobs,
        allow_leaks=options.image_wise,
        # A head trains in seconds, which a process would spend on loading torch. Threads wait for
        # each other where an encoder draws random numbers while it trains.
        backend="threading" if options.frozen_epochs == "all" else "loky",
    )

    table = report.make_table(
        result.cv_results, rows, cohort, prepared.pipeline, with_paper=embedded
    )
    if options.report:
        table = patients.with_comparators(table, result, cohort, prepared.folds)
    evaluation = patients.evaluate(result, rows, options)
    by_patient = None if evaluation is None else patients.figures(evaluation)
    record = {
        "title": prepared.title,
        "run": units.describe_run(options, prepared.settings, cohort),
        "settings": vars(options) | {"weights_used": prepared.weights},
        "rows": rows,
        "leaking_patients": prepared.leakage.n_leaking_patients,
        "leakage": report.leakage(prepared.leakage),
        "cohort": cohort.DESCR,
        "by_patient": None if by_patient is None else by_patient.to_dict("index"),
    }
    files = report.write(options.out, table, result, rows, record)
    if options.report and evaluation is not None:
        files += patients.write(Path(options.out) / "report", evaluation, result, prepared)[-1:]
    print(f"\n{prepared.title}\nmean ± standard deviation over the folds\n")
    print(report.format_table(table))
    if by_patient is not None:
        print("\nby patient, with 95 % intervals; difference from the image alone\n")
        print(patients.format_figures(by_patient))
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
