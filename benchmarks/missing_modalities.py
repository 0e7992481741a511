"""What each fusion is worth with everything there, without the image, and without the laboratory.

Models are fitted on complete rows and see patients of whom nothing, the image or all laboratory
values are missing. Features of 0 stand for an image, medians for a value; what marks a value as
missing depends on the encoding. Log loss of images out of fold, and paired intervals by patient.
"""

import sys

from _quality.options import check, make_parser


def main(arguments=None):
    """Run the comparison."""
    parser = make_parser()
    parser.description, quick = __doc__, {"patients": 24, "folds": 3, "repeats": 1, "draws": 200}
    quick |= {"weights": "none", "backbone": "resnet18", "image_size": 32, "epochs": 3}
    parser.set_defaults(out="missing-results", data_sets=["embedded"])
    if parser.parse_args(arguments).quick:
        parser.set_defaults(**quick)
    options = check(parser, parser.parse_args(arguments))
    for name in ("methods", "list", "reference", "join", "table"):
        if getattr(options, name):
            parser.error(f"--{name} has no part here: the methods and the comparison are fixed")
    if "embedded_age" in options.data_sets:
        parser.error("--data-sets embedded_age has no laboratory values that could be missing")
    print("loading skosfusion", flush=True)
    from _quality import absent, cohorts

    from skosfusion.network import choose_encoder

    try:
        encoder = choose_encoder(options.backbone, options.weights, tell=print)
    except ValueError as error:
        sys.exit(f"--backbone {options.backbone}, --weights {options.weights}: {error}")
    for name in options.data_sets:
        try:
            data_set = cohorts.load(name, options)
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        table = absent.compare(data_set, encoder, options)
        options.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.out / f"{name}.csv")
        print(f"\n{data_set.name}: {data_set.title}; {data_set.caveat}")
        print(f"{encoder.description}, fixed, {options.image_size} pixels\n\n{table.to_string()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
