"""What the displays have in common: axes, radiographs with heatmaps, captions."""

import math
import textwrap

import numpy as np

from .._samples import MAX_IMAGES

# From dark to light, and readable without telling red from green.
COLOR_MAP = "plasma"
_OVERLAY_ALPHA = 0.65
_GAP = 0.03
_CAPTION_CHARACTERS = 23


def import_pyplot(who):
    """Import matplotlib where something is drawn; `who` draws, for the error."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{who} draws with matplotlib; install it with 'pip install skosfusion[plot]'"
        ) from error
    return plt


def new_axes(plt, ax, width, height):
    """Return the Axes given, or those of a new figure, in inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def check_number_of_images(n_images):
    """Refuse more images than a figure can show."""
    if n_images > MAX_IMAGES:
        raise ValueError(
            f"{n_images} images do not fit into a figure; at most {MAX_IMAGES} do: pass some of "
            f"the rows, such as X.iloc[:{MAX_IMAGES}]"
        )


def make_axes(plt, ax, n_samples, n_panels, n_caption_lines):
    """Make one Axes a sample, in a new figure or in the place of one Axes, or take those given."""
    if ax is not None and np.ndim(ax) > 0:
        axes = np.ravel(np.asarray(ax, dtype=object))
        if len(axes) != n_samples:
            raise ValueError(f"ax holds {len(axes)} Axes; {n_samples} are needed, one an image")
        return axes
    # About as wide as high, an Axes being `n_panels` times as wide as high.
    n_columns = min(n_samples, max(1, math.ceil(math.sqrt(n_samples / n_panels) * 1.2)))
    n_rows = math.ceil(n_samples / n_columns)
    if ax is None:
        side = 2.4 if n_samples > 1 else 3.4
        width = n_columns * n_panels * side + 1.0
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
    """Draw a radiograph, and beside it itself under each heatmap; boxes and names if known."""
    height, width = image.shape[:2]
    step = width * (1 + _GAP)
    for number in range(1 + len(heatmaps)):
        left = number * step
        extent = (left, left + width, height, 0)
        # Whatever the user's settings are: they would part image and box.
        place = {"extent": extent, "origin": "upper", "aspect": "equal"}
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, **place)
        if number:
            heatmap = heatmaps[number - 1]
            ax.imshow(
                heatmap, cmap=COLOR_MAP, vmin=0, vmax=1, alpha=_OVERLAY_ALPHA * heatmap, **place,
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


def draw_color_bar(plt, axes):
    """Draw one scale for all heatmaps."""
    values = plt.cm.ScalarMappable(plt.Normalize(0, 1), COLOR_MAP)
    figure = axes[0].figure
    width, height = figure.get_size_inches()
    # Always about as large as beside one panel.
    bar = figure.colorbar(
        values, ax=list(axes), fraction=0.35 / width, shrink=min(1.0, 3.0 / height), aspect=20,
        pad=0.1 / width, anchor=(0.0, 1.0),
    )  # fmt: skip
    bar.set_label("evidence for the class, scaled per image", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def wrap(parts, n_panels):
    """Join the parts of a caption, in lines that fit under so many panels."""
    width = n_panels * _CAPTION_CHARACTERS
    # Spaces within a part are protected from being line ends, if it fits into a line at all.
    whole = ", ".join(part.replace(" ", "\0") if len(part) <= width else part for part in parts)
    lines = textwrap.wrap(whole, width)
    return "\n".join(line.replace("\0", " ") for line in lines)
