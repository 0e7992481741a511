"""Show what the models look at: the paper's galleries, gradients, and whether heatmaps are right.

Run it with ``--help`` for the options.
"""

import sys
import time
from pathlib import Path

from _common.options import make_parser

from skosfusion.cli import add_ablation_options, check_ablation_options

DESCRIPTION = """\
Cross-validate two models as the ablation script does, and explain the rows that they have not seen.

Without options: Baseline and All on the embedded synthetic cohort. Written are the paper's
galleries (Fig. 7 to 9), the gradients of the clinical values, what each kind of input is worth and,
where boxes of the tumors are known, how well heatmaps hit them, against chance and models with
random weights.
"""


def parse(arguments=None):
    """Read the options."""
    parser = make_parser(DESCRIPTION)
    add_ablation_options(parser, out="interpretability-results")
    explain = parser.add_argument_group("explanations")
    explain.add_argument("--layer", help="of the encoder; default: its last feature map")
    explain.add_argument(
        "--method",
        default="gradcam",
        choices=["gradcam", "gradcam++", "hirescam", "ablationcam"],
        help="how heatmaps are made",
    )
    explain.add_argument("--examples", type=int, default=6, help="images in a gallery, 1 to 40")
    explain.add_argument(
        "--random-models", type=int, default=10, help="models with random weights to compare with"
    )
    parser.set_defaults(rows=["Baseline", "All"])
    options = parser.parse_args(arguments)
    check_ablation_options(parser, options)
    if len(options.rows) != 2:
        parser.error(f"--rows {options.rows}: two rows are compared, such as Baseline All")
    if not 1 <= options.examples <= 40:
        parser.error(f"--examples {options.examples}: 1 to 40")
    if options.random_models < 0:
        parser.error(f"--random-models {options.random_models}: 0 or more")
    return options


def main(arguments=None):
    """Run the script."""
    options = parse(arguments)
    started = time.monotonic()
    print("loading skosfusion", flush=True)
    import joblib
    import matplotlib as mpl
    from _interpretability import measures, report

    from skosfusion import ComparisonDisplay, GradCAM
    from skosfusion.cli import prepare

    mpl.use("Agg")
    prepared = prepare(options)
    cohort, names = prepared.cohort, tuple(prepared.rows)
    boxes = getattr(cohort, "tumor_boxes", None)
    backend = "threading" if options.frozen_epochs == "all" else "loky"
    with joblib.parallel_config(backend=backend):
        results = measures.fit(prepared, options.jobs)
    print("explaining the galleries", flush=True)
    comparison = ComparisonDisplay.from_estimators(
        *results.values(),
        cohort.data,
        cohort.target,
        groups=cohort.groups,
        explainer=GradCAM(None, layer=options.layer, method=options.method),
        boxes=boxes,
        n_images=options.examples,
        names=names,
        display_labels=cohort.target_names,
        random_state=options.seed,
    )
    tables = {"predictions": comparison.frame()}
    lines = [
        f"{name}: accuracy {mean:.4f} ± {std:.4f}"
        for name, (mean, std) in measures.accuracies(results).items()
    ]
    counts = tables["predictions"][list(report.GALLERIES)].sum()
    lines.append("images: " + ", ".join(f"{count} {name}" for name, count in counts.items()))

    if boxes is None:
        lines.append(
            "no boxes of the findings are known: whether heatmaps hit them is not measured"
        )
    else:
        found = measures.localization(prepared, results, options)
        random = measures.random_localization(prepared, options)
        tables["localization"] = report.localization_table(found, random)

    gradients = None
    if prepared.rows[names[1]]:
        gradients = measures.gradients(prepared, results[names[1]])
        lines += report.ratio_lines(gradients)
        tables["gradient_ratios"] = gradients.ratios
    print("permuting modalities", flush=True)
    tables["modality_importance"] = measures.modalities(prepared, results[names[1]], options.seed)

    folder = Path(options.out)
    record = {
        "title": prepared.title,
        "settings": vars(options) | {"weights_used": prepared.weights},
        "lines": lines,
        "leaking_patients": prepared.leakage.n_leaking_patients,
    }
    files = report.draw(folder, comparison, gradients, prepared.title)
    files += report.write(folder, tables, record)
    print(f"\n{prepared.title}\nall figures from images that the model has not been trained on\n")
    print("\n".join(lines))
    if boxes is not None:
        print("\nheatmaps of the tumor class and the boxes of the tumors")
        print(tables["localization"].round(3).to_string(na_rep=""))
    print(f"\naccuracy lost by {names[1]} when inputs are permuted among patients")
    print(tables["modality_importance"].round(4).to_string())
    if options.image_table is None:
        print("\nThe cohort is synthetic, a test bed for the software: no figure here is medical.")
    print("\n" + "\n".join(f"written: {file}" for file in files))
    print(f"{time.monotonic() - started:.0f} s in all")
    return tables


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
