"""Measure five folds of each head on features that are kept.

129 images, five folds, fit and log loss: the paper's head in its 50 epochs, gated fusion, and the
linear head that is solved for.
"""

import tempfile
from pathlib import Path

from _bench import fusion, images, options, report, timing
from sklearn.model_selection import StratifiedKFold, cross_val_score

from skosfusion.network import PACKAGE, PACKAGED_BACKBONE, has_package

_MLP, _LINEAR = 'head="mlp"', 'head="linear"'
_HEADS = {
    _MLP: {},
    'fusion="gated"': {"fusion": "gated"},
    _LINEAR: {"head": "linear", "feature_scaling": "global"},
}


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_heads", __doc__, repeats=3, images=True)
    # Random weights take longer to draw than the head to fit, so those of a package are better.
    weights = (PACKAGED_BACKBONE, PACKAGE) if has_package() else ("resnet18", None)
    parser.add_argument("--backbone", default=weights[0])
    parser.add_argument("--weights", default=weights[1])
    parser.add_argument("--images-count", type=int, default=129)
    parser.add_argument("--image-size", type=int, default=224)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.repeats = 20, 32, 1
    with tempfile.TemporaryDirectory() as scratch:
        paths, kind = images.image_files(chosen.images, chosen.images_count, Path(scratch))
        table = report.Report(
            "How long do five folds of a head take?",
            quick=chosen.quick,
            source=kind,
            backbone=chosen.backbone,
            weights=chosen.weights,
            images=len(paths),
            image_size=chosen.image_size,
            repeats=chosen.repeats,
        )
        X, y = images.make_table(paths)
        candidates = {name: _five_folds(chosen, X, y, params) for name, params in _HEADS.items()}
        figures = timing.interleave(candidates, chosen.repeats)
    for name, figure in figures.items():
        table.add(
            name,
            figure,
            "s",
            ratio=report.ratio_of(figures, name, _MLP),
            at_most=1.0 if name == _LINEAR else None,
        )
    table.note("Seconds of five folds, fit and log loss; the features are kept in the process.")
    table.write(chosen.out)


def _five_folds(chosen, X, y, params):
    classifier = fusion.make_classifier(
        backbone=chosen.backbone,
        weights=chosen.weights,
        image_size=chosen.image_size,
        frozen_epochs="all",
        **params,
    )
    folds = list(StratifiedKFold(5).split(X, y))

    def run():
        return timing.seconds(
            lambda: cross_val_score(classifier, X, y, cv=folds, scoring="neg_log_loss")
        )

    return run


if __name__ == "__main__":
    main()
