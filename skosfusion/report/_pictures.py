"""The Displays as data URIs; a picture is left out where matplotlib or its Display is not there."""

import base64
import importlib
import io

from ._document import Picture

_DPI = 130


def forest(given):
    """Draw differences from the baseline."""
    metrics = given.evaluation.differences.index.get_level_values("metric")
    metric = "auc" if "auc" in metrics else metrics[0]
    caption = f"Differences from {given.text(given.evaluation.baseline)}"
    return _draw(caption, "DifferenceDisplay", "from_evaluation", given.evaluation, metric=metric)


def curves(given):
    """Draw ROC and precision-recall curves."""
    if not given.is_binary:
        return []
    captions = {"roc": "ROC curves", "precision_recall": "Precision-recall curves"}
    drawn = [
        _draw(caption, "CurveDisplay", "from_evaluation", given.evaluation, kind=kind)
        for kind, caption in captions.items()
    ]
    return [picture for pictures in drawn for picture in pictures]


def calibration(given):
    """Draw the calibration of the main row."""
    if not given.is_binary:
        return []
    row = given.main_row
    caption = f"Calibration of row {given.text(row)}"
    return _draw(caption, "RiskCalibrationDisplay", "from_evaluation", given.evaluation, row=row)


def decision(given):
    """Draw net benefit by threshold."""
    if not given.is_binary:
        return []
    caption = "Net benefit by threshold, beside treating all and none"
    return _draw(caption, "DecisionCurveDisplay", "from_evaluation", given.evaluation)


def subgroups(given):
    """Draw the main row by subgroup."""
    row = given.main_row
    caption = f"Row {given.text(row)} by subgroup"
    return _draw(caption, "SubgroupDisplay", "from_evaluation", given.evaluation, row=row)


def sites(given):
    """Draw sites and their mean."""
    return _draw("Sites left out in turn", "SiteDisplay", "from_validation", given.sites)


def _draw(caption, name, maker, *args, **options):
    """Return a list of one picture, or of none."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    # Opening this room loads torch, which a report without pictures does not need.
    from .. import inspection

    display = getattr(inspection, name, None)
    if display is None:
        return []
    drawn = getattr(display, maker)(*args, **options).plot()
    return [Picture(caption, figure_uri(drawn.figure_))]


def figure_uri(figure):
    """Return a figure of matplotlib as a data URI, and close it."""
    from matplotlib import pyplot as plt

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return png_uri(content.getvalue())


def png_uri(content):
    """Return the bytes of a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
