"""Workbooks as archives of XML parts, measured before anything is unpacked for good.

What a small file stands for is bounded here, and a reader sees a copy that holds measured parts
alone: no macros, images or links, no second part of one name.
"""

import io
import re
import zipfile
import zlib

_MAX_PART = 2**28
_MAX_PARTS = 2**29
_MOST_PARTS = 10_000
_READ_AT_ONCE = 2**20
# Of no use for the cells; some of it may be large, and some of it is code.
_LEFT_OUT = re.compile(
    r"(^|/)(media|drawings|charts|embeddings|activex|ctrlprops|customxml|externallinks|docprops"
    r"|pivotcache|pivottables|printersettings|thumbnails|pictures|configurations2|basic|scripts"
    r"|macrosheets|dialogsheets|object \d+)/",
    re.IGNORECASE,
)
_XML = (".xml", ".rels")


class Archive:
    """The XML parts of a workbook, by name."""

    def __init__(self, path):
        self.parts, self.has_macros, self._order = {}, False, []
        try:
            with zipfile.ZipFile(path) as archive:
                self._read(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ValueError(f"it is damaged ({error}); save the workbook again") from error
        except RuntimeError as error:  # zipfile, of parts under a password
            raise ValueError(f"{error}; save the workbook without a password") from error

    def _read(self, archive):
        members = archive.infolist()
        if len(members) > _MOST_PARTS:
            raise ValueError(f"it is an archive of {len(members)} parts, which no workbook is")
        names = [member.filename.lower() for member in members]
        self.has_macros = any(
            name.endswith("vbaproject.bin") or name.startswith("basic/script") for name in names
        )
        left = _MAX_PARTS
        for member in members:
            name = member.filename
            is_read = name.lower().endswith(_XML) or name == "mimetype"
            if not is_read or _LEFT_OUT.search(name):
                continue
            if name in self.parts:
                raise ValueError(f"it holds two parts named {name!r}; save the workbook again")
            self.parts[name] = _unpacked(archive, member, min(_MAX_PART, left))
            left -= len(self.parts[name])

    def as_file(self, parts=()):
        """Return the workbook as a file in memory, with the parts that are given in their place."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name, content in (self.parts | dict(parts)).items():
                archive.writestr(name, content)
        target.seek(0)
        return target


def _unpacked(archive, member, limit):
    """Return the content of a part, which must be XML without a grammar of its own."""
    chunks, size = [], 0
    with archive.open(member) as file:
        while chunk := file.read(_READ_AT_ONCE):
            size += len(chunk)
            if size > limit:
                raise ValueError(
                    f"its part {member.filename!r} takes more than {limit} bytes unpacked; save "
                    "the sheet as CSV"
                )
            chunks.append(chunk)
    content = b"".join(chunks)
    head = content[:4096]
    if b"\0" in head or b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise ValueError(
            f"its part {member.filename!r} is not XML as a workbook has it; save the workbook again"
        )
    return content
