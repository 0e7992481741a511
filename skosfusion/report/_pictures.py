"""The Displays as data URIs; a picture is left out where matplotlib or its Display is not there."""

import base64
import contextlib
import io
import re
import warnings
from importlib.util import find_spec

from ._document import Picture
from ._given import WITHHELD

_DPI = 130
_NO_GLYPH = re.compile(r"Glyph \d+ .* missing from|Matplotlib currently does not support")


def forest(given):
    """Draw differences from the baseline."""
    metrics = given.evaluation.differences.index.get_level_values("metric")
    metric = "auc" if "auc" in metrics else metrics[0]
    caption = f"Differences from {given.text(given.evaluation.baseline)}"
    return _draw(
        given, caption, "DifferenceDisplay", "from_evaluation", given.evaluation, metric=metric
    )


def curves(given):
    """Draw ROC and precision-recall curves."""
    if not given.is_binary:
        return []
    positive = f"positive: {given.label(given.classes[1])}"
    captions = {
        "roc": f"ROC curves; {positive}",
        "precision_recall": f"Precision-recall curves; {positive}",
    }
    drawn = [
        _draw(given, caption, "CurveDisplay", "from_evaluation", given.evaluation, kind=kind)
        for kind, caption in captions.items()
    ]
    return [picture for pictures in drawn for picture in pictures]


def calibration(given):
    """Draw the calibration of the main row."""
    if not given.is_binary:
        return []
    row = given.main_row
    caption = f"Calibration of row {given.text(row)}"
    return _draw(
        given, caption, "RiskCalibrationDisplay", "from_evaluation", given.evaluation, row=row
    )


def decision(given):
    """Draw net benefit by threshold."""
    if not given.is_binary:
        return []
    caption = "Net benefit by threshold, beside treating all and none"
    return _draw(given, caption, "DecisionCurveDisplay", "from_evaluation", given.evaluation)


def subgroups(given):
    """Draw the main row by subgroup."""
    row = given.main_row
    caption = f"Row {given.text(row)} by subgroup"
    return _draw(given, caption, "SubgroupDisplay", "from_evaluation", given.evaluation, row=row)


def sites(given):
    """Draw sites and their mean."""
    return _draw(given, "Sites left out in turn", "SiteDisplay", "from_validation", given.sites)


def _draw(given, caption, name, maker, *args, **options):
    """Return a list of one picture, or of none."""
    # A Display draws names as they are.
    names = [*given.rows, *(level for levels in _levels(given) for level in levels)]
    if find_spec("matplotlib") is None or any(WITHHELD in given.text(one) for one in names):
        return []
    # Opening this room loads torch, which a report without pictures does not need.
    from .. import inspection

    display = getattr(inspection, name, None)
    if display is None:
        return []
    with _letters_as_boxes() as missing:
        drawn = getattr(display, maker)(*args, **options).plot()
        from matplotlib import pyplot as plt

        inspection.choose_fonts(drawn.figure_)
        uri = _uri_of(drawn.figure_)
    plt.close(drawn.figure_)
    if missing:
        caption += "; letters that its font has not are boxes, and are in the tables"
    return [Picture(caption, uri)]


@contextlib.contextmanager
def _letters_as_boxes():
    """Collect the warnings of letters that a font lacks, as of other scripts; pass others on."""
    missing = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for one in caught:
        if _NO_GLYPH.match(str(one.message)):
            missing.append(one)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _levels(given):
    """Return names beside those of rows that a Display may draw."""
    subgroups = given.evaluation.subgroups
    if len(subgroups):
        yield subgroups.index.get_level_values("level")
    if given.sites is not None:
        yield given.sites.sites


def figure_uri(figure):
    """Return a figure of matplotlib as a data URI."""
    with _letters_as_boxes():
        return _uri_of(figure)


def _uri_of(figure):
    content = io.BytesIO()
    options = {"bbox_inches": "tight", "metadata": {"Software": None}}
    figure.savefig(content, format="png", dpi=_DPI, **options)
    return png_uri(content.getvalue())


def png_uri(content):
    """Return the bytes of a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
