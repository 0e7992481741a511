"""Dots with intervals: the difference of each method from the reference, for each data set."""

import numpy as np
from matplotlib.figure import Figure

from skosfusion.cli import wrapped

_METRICS = {"log_loss": "log loss, left is better", "auc": "AUC, right is better"}
_COLORS = {"better": "tab:green", "worse": "tab:red", "not shown": "gray", "reference": "black"}
# What is farther off than this many times the middle interval is cut, and an arrow says so.
_ROOM = 3.0


def draw(record, found, lines):
    """Draw two panels for each data set; a hollow dot is a difference that is not shown."""
    heights = [len(table) + 2 for table in found.values()]
    figure = Figure(figsize=(13, 1.5 + 0.27 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(found), 2, squeeze=False, height_ratios=heights)
    for axes, (name, table) in zip(panels, found.items(), strict=True):
        one = record["data_sets"][name]
        for ax, (metric, title) in zip(axes, _METRICS.items(), strict=True):
            _draw_panel(ax, table, metric)
            ax.set_title(f"{name}: {title}", fontsize=9)
            ax.set_ylim(len(table) - 0.5, -0.5)
            ax.tick_params(labelsize=7)
        reference = one["methods"][record["reference"]]["words"]
        words = [one["methods"][method] for method in table.index]
        labels = [f"{about['sees']}: {about['words']}" for about in words]
        axes[0].set_yticks(range(len(table)), labels, fontsize=7)
        axes[1].set_yticks(range(len(table)), [])
        kind = "SYNTHETIC" if one["is_synthetic"] else "small and confounded"
        axes[0].set_xlabel(f"{len(set(one['patients']))} patients; {kind}", fontsize=8)
        axes[1].set_xlabel(f"difference from {reference}", fontsize=8)
    title = "\n".join(wrapped(line, 170) for line in lines)
    figure.suptitle(
        f"{title}\nHollow: not shown, the interval includes 0. An arrow: it goes on.", fontsize=8
    )
    return figure


def _draw_panel(ax, table, metric):
    """Draw one metric of one data set."""
    ax.axvline(0.0, color="black", linewidth=0.6)
    values, lows, highs = (table[f"{metric}_difference{end}"] for end in ("", "_low", "_high"))
    farthest = np.maximum(np.abs(lows), np.abs(highs))
    room = _ROOM * float(farthest.median()) or 1.0
    left, right = max(lows.min(), -room), min(highs.max(), room)
    margin = 0.05 * (right - left) or 1.0
    ax.set_xlim(left - margin, right + margin)
    for height, verdict in enumerate(table[f"{metric}_shown"]):
        value, low, high = values.iloc[height], lows.iloc[height], highs.iloc[height]
        color = _COLORS[verdict]
        face = "white" if verdict == "not shown" else color
        ax.plot([low, high], [height, height], color=color, linewidth=1.2, zorder=1)
        ax.plot(value, height, "o", color=color, markerfacecolor=face, markersize=5)
        for end, marker, is_cut in ((left, "<", low < left), (right, ">", high > right)):
            if is_cut:
                ax.plot(end, height, marker, color=color, markersize=5)
        if not left <= value <= right:
            side, align = (left, "left") if value < left else (right, "right")
            ax.annotate(
                f"{value:+.2f}",
                (side, height),
                xytext=(8 if align == "left" else -8, 3),
                textcoords="offset points",
                ha=align,
                fontsize=7,
            )
