"""The command `explain`: a heatmap for each image, of the size of the original."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from .._utils.files import write_atomically
from .._utils.progress import progress_bar
from ..images import read_image
from ..inspection import GradCAM
from ._errors import UsageError, data_problems
from ._files import plain
from ._fitted import check_inputs, chunks, open_model
from ._lock import locked
from ._tables import load_without_labels

_INDEX = "index.csv"
_AT_ONCE = 16
_STRENGTH = 0.5
# From no evidence to most: blue, cyan, yellow, red.
_COLORS = np.array([[0, 0, 128], [0, 200, 255], [255, 230, 0], [200, 0, 0]], float)


def run(options, output):
    """Explain and write, and return the record for scripts."""
    folder = Path(options.out)
    with locked(folder):
        if (folder / _INDEX).exists():
            raise UsageError(
                f"--out {folder} holds the heatmaps of another run; give another folder"
            )
        return _run(options, output, folder)


def _run(options, output, folder):
    model = open_model(options)
    target = _target(options.explain_label, model.classes_)
    output.say("reading the tables")
    with data_problems():
        cohort = load_without_labels(options, output)
    check_inputs(model, cohort.data)
    data = cohort.data[cohort.data["image"].notna()]
    skipped = len(cohort.data) - len(data)
    output.say(f"explaining {len(data)} images" + (f", {skipped} have none" if skipped else ""))
    explainer = GradCAM(model, layer=options.layer, target=target, method=options.method)
    reading = model[-1].fitted_params_["image_options"] or {}
    lines, files = [], []
    n_digits = max(5, len(str(len(cohort.data))))
    parts = list(chunks(model, len(data), _AT_ONCE))
    for rows in progress_bar(parts, shown=None, desc="explaining", unit="part"):
        part = data.iloc[rows]
        with data_problems():
            heatmaps = explainer.transform(part)
            probabilities = model.predict_proba(part)
        for row, path, heatmap, chances in zip(
            part.index, part["image"], heatmaps, probabilities, strict=True
        ):
            code = chances.argmax() if target is None else model.classes_.tolist().index(target)
            names = _write(folder, f"{row:0{n_digits}d}", path, heatmap, reading, options.kind)
            files += names
            lines.append(
                [row, plain(Path(path).name), plain(cohort.groups[row]), model.classes_[code],
                 chances[code],
                 "" if heatmap.any() else "no place stands out", *names]
            )  # fmt: skip
    head = ["row", "image", "patient_id", "explained", "probability", "remark"]
    head += [name for name in ("overlay", "raw") if options.kind in (name, "both")]
    write_atomically(folder / _INDEX, _as_csv([head, *lines]), mode=0o600)
    output.say(f"written: {len(files)} heatmaps, {folder / _INDEX} (with record numbers)")
    return {
        "out": str(folder),
        "index": str(folder / _INDEX),
        "n_heatmaps": len(files),
        "configuration": options.configuration,
    }


def _target(text, classes):
    """Return the class to explain; None for the predicted one of each image."""
    if text is None:
        return None
    for label in classes.tolist():
        if str(label) == text:
            return label
    raise UsageError(
        f"--explain-label {text!r} is none of the labels {', '.join(map(str, classes.tolist()))}"
    )


def _write(folder, number, path, heatmap, reading, kind):
    """Write the pictures of one image, and return their names, which say nothing of the image."""
    pixels = read_image(path, image_size=None, **{k: reading[k] for k in reading if k != "crop_box"
                                                  and k != "image_size"})  # fmt: skip
    heat = _enlarged(heatmap, pixels.shape[1:], reading.get("crop_box"))
    names = []
    if kind in ("overlay", "both"):
        names.append(f"heatmap_{number}.png")
        _save(folder / names[-1], _overlaid(pixels, heat))
    if kind in ("raw", "both"):
        names.append(f"heatmap_{number}_raw.png")
        _save(folder / names[-1], np.round(heat * 255).astype(np.uint8))
    return names


def _enlarged(heatmap, shape, crop_box):
    """Return a heatmap on the pixels of the original; 0 where the model does not look."""
    height, width = shape
    left, top, right, bottom = crop_box or (0, 0, width, height)
    image = Image.fromarray(heatmap.astype(np.float32), mode="F")
    image = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    heat = np.zeros(shape, np.float32)
    heat[top:bottom, left:right] = np.clip(np.asarray(image), 0, 1)
    return heat


def _overlaid(pixels, heat):
    """Return an image with the heatmap on it, uint8 of shape (height, width, 3)."""
    gray = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0).astype(np.float32)
    stops = np.linspace(0, 1, len(_COLORS))
    color = np.stack([np.interp(heat, stops, channel) for channel in _COLORS.T], axis=-1)
    share = (_STRENGTH * (heat > 0))[..., None]
    return np.round(gray * (1 - share) + color * share).astype(np.uint8)


def _save(path, pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    write_atomically(path, content.getvalue())


def _as_csv(lines):
    content = io.StringIO(newline="")
    csv.writer(content, lineterminator="\n").writerows(lines)
    return content.getvalue().encode(errors="surrogatepass")
