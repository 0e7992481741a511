"""Pictures of patients, where a user gives some."""

import io
import os
from collections.abc import Mapping

from ..images import open_image
from ._document import Picture, Section
from ._pictures import figure_uri, png_uri


def gallery(given):
    """Return the pictures that were given; without their metadata and the names of their files."""
    section = Section("gallery", "Gallery")
    found = given.gallery
    if not found:
        section.given = False
        section.paragraphs.append("No pictures of patients were given, and this file holds none.")
        return section
    named = isinstance(found, Mapping)
    pairs = found.items() if named else enumerate(found, start=1)
    for row, (name, thing) in enumerate(pairs):
        caption = given.text(name) if named else f"Picture {name}"
        section.pictures.append(Picture(caption, _uri(thing, row)))
    section.paragraphs.append("THIS FILE HOLDS PICTURES OF PATIENTS. Pass it on accordingly.")
    return section


def _uri(thing, row):
    """Return a Display, a figure or an image file as a data URI."""
    if isinstance(thing, str | os.PathLike):
        # Written anew: what a scanner wrote beside the pixels may name the patient.
        image, content = open_image(thing, row=row).convert("RGB"), io.BytesIO()
        image.save(content, "PNG")
        return png_uri(content.getvalue())
    figure = getattr(thing, "figure_", thing)
    if not hasattr(figure, "savefig"):
        raise TypeError(
            f"gallery: picture {row} is a {type(thing).__name__}; allowed: an image file, a figure "
            "of matplotlib, or a Display that was plotted"
        )
    return figure_uri(figure)
