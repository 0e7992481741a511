"""A summary of a training set as a file holds it: checked before it is used, since nobody knows."""

import math

import numpy as np

from ._raw_inputs import CATEGORY, NUMBER
from ._usual_images import COLOR, GRAY, MOST_DIRECTIONS, Spread
from ._usual_inputs import LONGEST_NAME, MEDIAN, MOST_NAMES, median_of

VERSION = 1
_MOST_INPUTS = 10_000
_MOST_FEATURES = 2**16
_LONGEST_COLUMN = 1000
_MOST = 2**53
_OF_ALL = {"version", "n_rows", "n_patients", "n_warned", "rate", "inputs", "image"}
_OF_INPUT = {"column", "kind", "n_patients", "n_missing"}
_OF_KIND = {
    NUMBER: {"levels", "quantiles", "scale", "low", "high"},
    CATEGORY: {"names", "counts", "n_others"},
}
_OF_IMAGE = {"column", "n_patients", "n_missing", "color", "threshold"}
_ARRAYS = ("mean", "components", "variances")


def check_description(description):
    """Raise ValueError unless a description is one that `summarize_training` could have made."""
    _check_keys("the summary", description, _OF_ALL)
    if description["version"] != VERSION or isinstance(description["version"], bool):
        raise ValueError(
            f"the summary has the version {description['version']!r:.50}, and this one reads "
            f"{VERSION}; summarize the training set again"
        )
    for name in ("n_rows", "n_patients", "n_warned"):
        _check_count(name, description[name])
    rate = _check_number("rate", description["rate"])
    _require(0 < rate < 0.5, "rate", rate)
    inputs = description["inputs"]
    _require(isinstance(inputs, list) and len(inputs) <= _MOST_INPUTS, "inputs", inputs)
    for summary in inputs:
        _check_input(summary)
    columns = [summary["column"] for summary in inputs]
    _require(len(set(columns)) == len(columns), "columns", columns)
    if description["image"] is not None:
        _check_image(description["image"])


def _check_input(summary):
    kind = summary.get("kind") if isinstance(summary, dict) else None
    _require(isinstance(kind, str) and kind in _OF_KIND, "kind", kind)
    _check_keys("an input of the summary", summary, _OF_INPUT | _OF_KIND[kind])
    _check_text("column", summary["column"], _LONGEST_COLUMN)
    for name in ("n_patients", "n_missing"):
        _check_count(name, summary[name])
    (_check_numbers if kind == NUMBER else _check_categories)(summary)


def _check_numbers(summary):
    _require(summary["scale"] in ("ratio", "difference"), "scale", summary["scale"])
    levels, quantiles = summary["levels"], summary["quantiles"]
    _require(isinstance(levels, list) and isinstance(quantiles, list), "quantiles", quantiles)
    _require(len(levels) == len(quantiles) <= 100, "quantiles", quantiles)
    for name, values in (("levels", levels), ("quantiles", quantiles)):
        values = [_check_number(name, value) for value in values]
        _require(values == sorted(values), name, values)
    ends = [end for end in (summary["low"], summary["high"]) if end is not None]
    for end in ends:
        _check_number("limit", end)
    if ends:
        _require(MEDIAN in levels[1:-1], "levels", levels)
        median = median_of(summary)
        low, high = summary["low"], summary["high"]
        is_around = (low is None or low <= median) and (high is None or median <= high)
        _require(is_around, "limits", ends)
        is_ratio = summary["scale"] == "ratio"
        _require(not is_ratio or min([*ends, median]) > 0, "limits of a ratio", ends)


def _check_categories(summary):
    names, counts = summary["names"], summary["counts"]
    _require(isinstance(names, list) and len(names) <= MOST_NAMES, "names", names)
    _require(isinstance(counts, list) and len(counts) == len(names), "counts", counts)
    for name in names:
        _check_text("name", name, LONGEST_NAME)
    for count in [*counts, summary["n_others"]]:
        _check_count("count", count)


def _check_image(image):
    _check_keys("the image of the summary", image, _OF_IMAGE)
    _check_text("column", image["column"], _LONGEST_COLUMN)
    for name in ("n_patients", "n_missing"):
        _check_count(name, image[name])
    color = image["color"]
    _require(color is None or color in (GRAY, COLOR), "color", color)
    threshold = image["threshold"]
    if threshold is not None:
        _require(_check_number("threshold", threshold) > 0, "threshold", threshold)


def check_arrays(description, arrays):
    """Return the spread of features that arrays hold, None for none; ValueError for others."""
    image = description["image"]
    has_features = image is not None and image["threshold"] is not None
    expected = set(_ARRAYS) if has_features else set()
    if set(arrays) != expected:
        raise ValueError(f"the summary has the arrays {sorted(map(str, arrays))!r:.200}")
    if not has_features:
        return None
    mean, components, variances = (np.asarray(arrays[name]) for name in _ARRAYS)
    for name, array in zip(_ARRAYS, (mean, components, variances), strict=True):
        if array.dtype != np.float32:
            raise ValueError(f"{name} of the summary is of type {array.dtype!s:.50}, not float32")
    is_one = mean.ndim == 1 and components.ndim == 2 and variances.ndim == 1
    if not is_one or not 0 < mean.size <= _MOST_FEATURES:
        raise ValueError(f"the summary has a mean of shape {mean.shape!s:.100}")
    n_kept = len(components)
    is_fit = components.shape[1] == mean.size and variances.size == n_kept + 1
    if not is_fit or n_kept > min(MOST_DIRECTIONS, mean.size):
        raise ValueError(
            f"the summary's arrays have the shapes {mean.shape}, {components.shape}, "
            f"{variances.shape}, which do not fit"
        )
    for name, array in zip(_ARRAYS, (mean, components, variances), strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} of the summary is not finite")
    if not (variances > 0).all() or (np.abs(components) > 1.001).any():
        raise ValueError("the summary's arrays are not directions and their variances")
    return Spread(mean, components, variances)


def _check_keys(what, found, expected):
    if not isinstance(found, dict) or set(found) != expected:
        keys = sorted(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{what} has the entries {keys!r:.200}, not {sorted(expected)}")


def _check_text(name, value, longest):
    _require(isinstance(value, str) and len(value) <= longest, name, value)


def _check_count(name, value):
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    _require(valid, name, value)


def _check_number(name, value):
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    _require(valid and abs(value) <= 1e300 and math.isfinite(value), name, value)
    return value


def _require(valid, name, value):
    if not valid:
        raise ValueError(f"the summary has {name}={value!r:.100}, which is none")
