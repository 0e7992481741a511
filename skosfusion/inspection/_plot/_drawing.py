"""What the displays have in common: axes, radiographs with heatmaps, captions."""

import math
import textwrap

import numpy as np
import pandas as pd

from ...preprocessing import KitRangeScaler
from .._fitted import is_made_by

# From dark to light, and readable without telling red from green.
COLOUR_MAP = "plasma"
MAX_IMAGES = 40
_OVERLAY_ALPHA = 0.65
_GAP = 0.03
_CAPTION_CHARACTERS = 23


def import_pyplot(who):
    """Import matplotlib where something is drawn.

    Parameters
    ----------
    who : str
        What draws, for the error.

    Returns
    -------
    module
        ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        If matplotlib is not installed, with the extra that installs it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{who} draws with matplotlib; install it with 'pip install skosfusion[plot]'"
        ) from error
    return plt


def check_number_of_images(n_images):
    """Refuse more images than a figure can show.

    Parameters
    ----------
    n_images : int
        Number of images.

    Raises
    ------
    ValueError
        If there are more than 40.
    """
    if n_images > MAX_IMAGES:
        raise ValueError(
            f"{n_images} images do not fit into a figure; at most {MAX_IMAGES} do: pass some of "
            f"the rows, such as X.iloc[:{MAX_IMAGES}]"
        )


def make_axes(plt, ax, n_samples, n_pictures, n_caption_lines):
    """Make one Axes a sample, in a new figure or in the place of one Axes.

    Parameters
    ----------
    plt : module
        ``matplotlib.pyplot``.
    ax : Axes, array-like of Axes or None
        None makes a figure; one Axes is divided; an array is used as it is.
    n_samples : int
        Number of Axes wanted.
    n_pictures : int
        Pictures side by side in each.
    n_caption_lines : int
        Lines of the longest caption.

    Returns
    -------
    ndarray of shape (n_samples,)
        The Axes.

    Raises
    ------
    ValueError
        If `ax` is an array of another length.
    """
    if ax is not None and np.ndim(ax) > 0:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_samples:
            raise ValueError(f"ax holds {len(axes)} Axes; {n_samples} are needed, one an image")
        return axes
    # About as wide as high, an Axes being `n_pictures` times as wide as high.
    n_columns = min(n_samples, max(1, math.ceil(math.sqrt(n_samples / n_pictures) * 1.2)))
    n_rows = math.ceil(n_samples / n_columns)
    if ax is None:
        side = 2.4 if n_samples > 1 else 3.4
        width = n_columns * n_pictures * side + 1.0
        height = n_rows * (side + 0.17 * n_caption_lines + 0.15) + 0.3
        figure = plt.figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
        grid = figure.add_gridspec(n_rows, n_columns)
    else:
        figure = ax.figure
        ax.set_axis_off()
        whole = ax.get_subplotspec()
        if whole is None:
            place = ax.get_position()
            sides = {"left": place.x0, "right": place.x1, "bottom": place.y0, "top": place.y1}
            grid = figure.add_gridspec(n_rows, n_columns, **sides)
        else:
            grid = whole.subgridspec(n_rows, n_columns)
    cells = [divmod(number, n_columns) for number in range(n_samples)]
    return np.array([figure.add_subplot(grid[cell]) for cell in cells], dtype=object)


def draw_sample(ax, image, heatmaps, *, names=(), box=None, caption=""):
    """Draw a radiograph, and beside it itself under each heatmap.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    image : ndarray of shape (height, width) or (height, width, 3)
        Pixels, uint8.
    heatmaps : list of ndarray of shape (height, width)
        Values in [0, 1]; where they are low, the radiograph stays visible.
    names : sequence of str, default=()
        Written above the heatmaps.
    box : array-like of shape (4,) or None, default=None
        Left, top, right and bottom of what is known to be the finding; NaN for none.
    caption : str, default=""
        Written below.
    """
    height, width = image.shape[:2]
    step = width * (1 + _GAP)
    for number in range(1 + len(heatmaps)):
        left = number * step
        extent = (left, left + width, height, 0)
        # Whatever the user's settings are: they would part picture and box.
        place = {"extent": extent, "origin": "upper", "aspect": "equal"}
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, **place)
        if number:
            heatmap = heatmaps[number - 1]
            ax.imshow(
                heatmap, cmap=COLOUR_MAP, vmin=0, vmax=1, alpha=_OVERLAY_ALPHA * heatmap, **place,
            )  # fmt: skip
        if box is not None and not np.isnan(box).any():
            _draw_box(ax, box, left)
        if 0 < number <= len(names):
            ax.text(
                left + width / 2,
                -0.02 * height,
                names[number - 1],
                ha="center",
                fontsize=8,
                parse_math=False,
            )
    ax.set_xlim(0, len(heatmaps) * step + width)
    ax.set_ylim(height, 0)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    # Names of classes and values may hold a dollar sign.
    ax.set_xlabel(caption, loc="left", fontsize=8, parse_math=False)


def _draw_box(ax, box, offset):
    left, top, right, bottom = box
    x = offset + np.array([left, right, right, left, left])
    y = [top, top, bottom, bottom, top]
    # Black under white is seen on any ground.
    ax.plot(x, y, color="black", lw=2.0)
    ax.plot(x, y, color="white", lw=1.0, ls=(0, (4, 2)))


def draw_colour_bar(plt, axes):
    """Draw one scale for all heatmaps.

    Parameters
    ----------
    plt : module
        ``matplotlib.pyplot``.
    axes : ndarray of Axes
        Those with heatmaps.
    """
    values = plt.cm.ScalarMappable(plt.Normalize(0, 1), COLOUR_MAP)
    figure = axes[0].figure
    width, height = figure.get_size_inches()
    # Always about as large as beside one picture.
    bar = figure.colorbar(
        values, ax=list(axes), fraction=0.35 / width, shrink=min(1.0, 3.0 / height), aspect=20,
        pad=0.1 / width, anchor=(0.0, 1.0),
    )  # fmt: skip
    bar.set_label("speaks for the class, scaled per image", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def wrap(parts, n_pictures):
    """Join the parts of a caption, in lines that fit under so many pictures.

    Parameters
    ----------
    parts : list of str
        Parts that stay whole where they can.
    n_pictures : int
        Pictures side by side above.

    Returns
    -------
    str
        One or more lines.
    """
    width = n_pictures * _CAPTION_CHARACTERS
    # Spaces within a part are protected from being line ends, if it fits into a line at all.
    whole = ", ".join(part.replace(" ", "\0") if len(part) <= width else part for part in parts)
    lines = textwrap.wrap(whole, width)
    return "\n".join(line.replace("\0", " ") for line in lines)


def describe_clinical(fitted, X, table):
    """Write the clinical values of each row as a user gave them, where that is known.

    Parameters
    ----------
    fitted : FittedFusion
        The model.
    X : DataFrame
        The user's table.
    table : DataFrame
        The table that the classifier reads.

    Returns
    -------
    list of list of str
        Parts of the caption of each row.
    """
    inputs = fitted.input_columns()
    if inputs is None:
        inputs, X = {name: (None, [name]) for name in fitted.clinical_names}, table
    return [
        [_describe(name, *described, row) for name, described in inputs.items()]
        for _, row in X.iterrows()
    ]


def _describe(name, transformer, columns, row):
    name, values = shorten(name), [_format(row[column]) for column in columns]
    if len(values) == 3 and is_made_by(transformer, KitRangeScaler):
        return f"{name} {values[0]} ({values[1]} to {values[2]})"
    return f"{name} {' '.join(values)}"


def _format(value):
    if pd.isna(value):
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else shorten(value, 20)


def shorten(text, n_characters=40):
    """Write a name on one line, cut where it is too long for a picture.

    Parameters
    ----------
    text : object
        The name.
    n_characters : int, default=40
        Most characters.

    Returns
    -------
    str
        The text; cut ones end in an ellipsis.
    """
    text = " ".join(str(text).split())
    return text if len(text) <= n_characters else text[: n_characters - 1] + "…"
