"""Pieces of HTML for notebooks: escaped, without scripts, readable on light and dark ground."""

import html
import math
import re
from collections import UserString

import numpy as np

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_LONGEST = 80
_MOST_ROWS = 60
# Colors are those of the page but for its shades, so that dark pages stay dark.
_STYLE = """\
<style>
.skosfusion {overflow-x: auto; line-height: 1.4}
.skosfusion table {border-collapse: collapse; margin: .5em 0; color: inherit}
.skosfusion caption {text-align: left; font-weight: bold; padding: .3em 0}
.skosfusion th, .skosfusion td {text-align: left; padding: .2em .7em; color: inherit;
  background: transparent; border-bottom: 1px solid rgba(128, 128, 128, .4)}
.skosfusion figure {display: inline-block; margin: .2em .6em .2em 0; vertical-align: top}
.skosfusion figcaption {font-size: smaller; opacity: .8}
.skosfusion .none {display: inline-block; width: 112px; height: 84px; line-height: 84px;
  text-align: center; border: 1px dashed rgba(128, 128, 128, .7); font-size: smaller; opacity: .8}
</style>"""


class Markup(UserString):
    """A text that is HTML already; all other texts are escaped."""


def markup(text):
    """Return any value as HTML of one line: escaped, without control characters, cut if long."""
    if isinstance(text, Markup):
        return str(text)
    text = " ".join(_CONTROL.sub(" ", str(text)[: 50 * _LONGEST]).split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return html.escape(text)


def document(parts):
    """Return parts of HTML as one, with the style that they share."""
    body = "\n".join(str(part) for part in parts if part)
    return f'<div class="skosfusion">\n{_STYLE}\n{body}\n</div>'


def heading(text):
    """Return a line in bold."""
    return Markup(f"<div><strong>{markup(text)}</strong></div>")


def paragraphs(text):
    """Return each line of a text as a paragraph."""
    lines = [line for line in str(text).splitlines() if line.strip()]
    # A note is a sentence and may be longer than a cell.
    cut = [line if len(line) <= 600 else line[:599] + "…" for line in lines[:_MOST_ROWS]]
    return Markup("".join(f"<div>{html.escape(_CONTROL.sub(' ', line))}</div>" for line in cut))


def table(caption, header, rows):
    """Return a table of cells; nothing for one without rows."""
    rows = list(rows)
    if not rows:
        return Markup("")
    lines = [f"<table><caption>{markup(caption)}</caption>"]
    lines.append("<tr>" + "".join(f"<th>{markup(name)}</th>" for name in header) + "</tr>")
    for row in rows[:_MOST_ROWS]:
        lines.append("<tr>" + "".join(f"<td>{markup(cell)}</td>" for cell in row) + "</tr>")
    if len(rows) > _MOST_ROWS:
        more = f"… and {len(rows) - _MOST_ROWS} more"
        lines.append(f'<tr><td colspan="{len(header)}">{more}</td></tr>')
    return Markup("\n".join([*lines, "</table>"]))


def number(value, digits=3):
    """Return a number as people read it, "n/a" where there is none."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isnan(value):
        return "n/a"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.{digits}g}"


def histogram(values, n_bars=16, width=120, height=28):
    """Return the distribution of numbers as a small drawing; nothing where there are none."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return Markup("")
    low, high = (np.clip(end, -1e100, 1e100) for end in (values.min(), values.max()))
    spread = high - low if high > low else 1.0
    values = np.clip(values, low, high)
    places = np.clip((values - low) / spread * n_bars, 0, n_bars - 1).astype(int)
    counts = np.bincount(places, minlength=n_bars)
    step = width / n_bars
    bars = "".join(
        f'<rect x="{place * step:.1f}" y="{height - size:.1f}" '
        f'width="{step - 1:.1f}" height="{size:.1f}"/>'
        for place, size in enumerate(counts / counts.max() * height)
        if size
    )
    label = f"distribution from {number(low)} to {number(high)}"
    return Markup(
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(label)}" fill="currentColor" fill-opacity="0.6">{bars}</svg>'
    )


def picture(uri, caption):
    """Return an image below which a caption stands; a box that says so where there is none."""
    shown = '<span class="none">no image</span>'
    if uri is not None:
        shown = f'<img src="{html.escape(uri)}" alt="{markup(caption)}">'
    return Markup(f"<figure>{shown}<figcaption>{markup(caption)}</figcaption></figure>")
