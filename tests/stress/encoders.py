"""Try to find an encoder of timm that trains and predicts, and fails later or comes back different.

One small model of each family, convolutional and transformer, at its own image size and with random
weights: fit, predict, save, load, predict the same to the bit, and explain. A refusal that names
the backbone counts as right, and is listed.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from skosfusion import FusionClassifier, GradCAM, load_model, save_model

from .._helpers import tiny
from .parts.report import Progress, Report, make_parser

_QUICK = ["mobilenetv3_small_050", "deit_tiny_patch16_224", "mixer_s32_224"]
_CONVOLUTIONAL = [
    *("resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_050", "regnetx_002", "densenet121"),
    *("convnext_atto", "ghostnet_050", "repvgg_a0", "inception_v4", "dla34", "repvit_m0_9"),
]
_TRANSFORMERS = [
    *("vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"),
    *("xcit_nano_12_p16_224", "pvt_v2_b0", "levit_128s", "mobilevit_xxs", "edgenext_xx_small"),
    *("cait_xxs24_224", "coatnet_pico_rw_224", "tiny_vit_5m_224", "efficientformer_l1"),
    *("eva02_tiny_patch14_224", "davit_tiny", "gcvit_xxtiny", "twins_svt_small", "mvitv2_tiny"),
    *("hiera_tiny_224", "efficientvit_b0", "caformer_s18"),
]
_OTHERS = ["mixer_s32_224", "poolformer_s12", "fastvit_t8"]


def main(arguments=None):
    """Try the models one by one."""
    parser = make_parser("encoders", __doc__)
    parser.add_argument("--only", metavar="TEXT", help="models whose name contains this text")
    chosen = parser.parse_args(arguments)
    names = _QUICK if chosen.quick else _CONVOLUTIONAL + _TRANSFORMERS + _OTHERS
    names = [name for name in names if chosen.only is None or chosen.only in name]
    report = Report("timm's models: fit, predict, save, load, explain", chosen)
    progress, n_right, refused = Progress(), 0, {}
    with tempfile.TemporaryDirectory() as scratch:
        cohort = tiny.make_cohort(Path(scratch), n_patients=6, images_per_patient=1, side=64)
        for name in names:
            problem = _problem(name, cohort, Path(scratch) / "model.skosfusion", chosen.seed)
            if problem is not None and f"timm:{name}" in problem:
                refused[name] = problem
            elif problem is not None:
                report.fail(f"{name}: {problem:.200}")
            n_right += problem is None or name in refused
            progress.show(f"{name}: {problem or 'right'}", always=True)
    report.count("right, or refused by name", n_right, len(names))
    report.figure("refused", refused)
    return report.finish(chosen.out)


def _problem(name, cohort, path, seed):
    """Return what goes wrong with a model, or None."""
    classifier = FusionClassifier(
        image_column="image", backbone=f"timm:{name}", weights=None, frozen_epochs="all",
        max_epochs=1, batch_size=6, random_state=seed, verbose=0,
    )  # fmt: skip
    X = cohort[["image"]]
    try:
        expected = classifier.fit(X, cohort["diagnosis"]).predict_proba(X)
        save_model(classifier, path)
        if not np.array_equal(load_model(path).predict_proba(X), expected):
            return "the loaded model predicts something else"
        maps = GradCAM(classifier).transform(X[:2])
    except Exception as error:  # noqa: BLE001  whatever it is, it is counted and told
        return f"{type(error).__name__}: {error}"
    size = classifier.image_size_
    return None if maps.shape == (2, size, size) else f"its maps have the shape {maps.shape}"


if __name__ == "__main__":
    sys.exit(main())
