"""Numbers as people write them: read as declared, and recognized where nothing is declared."""

import math
import re
from dataclasses import dataclass

# Stricter than `float`, which also takes "1_000", "infinity" and digits of any script.
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPACES = "'\u2019 "
_BLANKS = dict.fromkeys([0xA0, 0x2009, 0x202F], " ")
_FORMS = {
    ".": re.compile(rf"[+-]?\d{{1,3}}(?:([,{_SPACES}])\d{{3}})(?:\1\d{{3}})*(?:\.\d*)?", re.ASCII),
    ",": re.compile(
        rf"[+-]?(?:\d{{1,3}}(?:([.{_SPACES}])\d{{3}})(?:\1\d{{3}})*(?:,\d*)?"
        r"|(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?)",
        re.ASCII,
    ),
}
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+", re.ASCII)
_BOUND = re.compile(
    r"(<=|>=|=<|=>|[<>≤≥⩽⩾]|(less|lower|more|greater|higher) than\b|(below|under|above|over)\b"
    r"|(kleiner|größer|unter|über)( als)?\b)\s*",
    re.IGNORECASE,
)
_UNNAMED_LIMIT = re.compile(
    r"\b(lo[dq]|(un)?detect\w*|measur\w*|nachweis\w*|messbar\w*|limit\w*)\b|n\.\s?n\.?",
    re.IGNORECASE,
)
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ].*)?|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d\d)([ ,].*)?", re.ASCII
)
# "0x1A", "1e" and "1/2" are something else.
_WITH_UNIT = re.compile(
    r"([+-]?[0-9.,'\u2019\s]*[0-9][.,]?)(?:\s+([^\W\d_].*|[%°‰µμ*/↑↓(\[+!].*)"
    r"|(?![eE]$)([^\W\d_][^\d]*|[%°‰µμ*↑↓(\[!][^\d]*|/[^\W\d_µμ].*))"
)


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written: by default as digits with a decimal point."""

    decimal: str | None = None
    unit: tuple = ()
    censored: str = "error"
    is_limit: bool = False  # of a normal range, which is one number

    def read(self, text):
        """Return the number that a text holds, at a limit ("<5") the limit; None if it has none."""
        digits = self.digits(text)
        if self.censored == "limit" and _INFINITE.fullmatch(digits):
            return -math.inf if digits.startswith("-") else math.inf
        return self._number(digits)

    def digits(self, text):
        """Return the part of a text that is read as a number."""
        text = (text if text.isascii() else text.translate(_BLANKS)).strip()
        bound = _BOUND.match(text) if self.censored == "limit" else None
        text = text[bound.end() :] if bound else text
        return self._without_unit(text) if self.unit else text

    def unit_of(self, text):
        """Return which of the declared units stands behind the digits; an empty text for none."""
        for unit in sorted(self.unit, key=len, reverse=True):
            if text.endswith(unit) and re.search(r"[\d.,]\s*$", text[: -len(unit)]):
                return unit
        return ""

    def say_unit(self, unit):
        """Return what to say of a unit that is not declared, before how one declares it."""
        return f"has {unit!r} behind its digits; if that is the unit or a mark to leave out"

    def _without_unit(self, text):
        unit = self.unit_of(text)
        return text[: -len(unit)].rstrip() if unit else text

    def _number(self, text):
        if self.decimal != "," and PLAIN.fullmatch(text):
            return float(text)
        if self.decimal is None or not _FORMS[self.decimal].fullmatch(text):
            return None
        digits = re.sub(rf"[{_SPACES}{'.' if self.decimal == ',' else ','}]", "", text)
        return float(digits.replace(",", "."))


@dataclass(frozen=True)
class Finding:
    """What a text that is not read as a number seems to be, and what to declare if it is so."""

    kind: str
    what: str
    remedy: dict | None = None


def recognize(text, notation):
    """Return what a text is that this notation does not read."""
    text = text.translate(_BLANKS).strip()
    if bound := _BOUND.match(text):
        return _limit(text, text[bound.end() :], notation)
    if _INFINITE.fullmatch(text):
        what = "is a limit of the assay, not a number; to read it as the limit itself"
        return Finding("limit", what, {"censored": "limit"})
    if _UNNAMED_LIMIT.search(text):
        return _UNKNOWN_LIMIT
    if _DATE.fullmatch(text):
        return Finding("date", "is a date, not a number")
    kinds = [(",", "with a decimal comma"), (".", "with marks between thousands")]
    for decimal, what in kinds if "," in text or "." in text else kinds[::-1]:
        if decimal != notation.decimal and _FORMS[decimal].fullmatch(text):
            return _marked(text, decimal, what, notation)
    if match := _WITH_UNIT.fullmatch(text):
        number, behind = match[1], match[2] or match[3]
        is_number = any(Notation(mark).read(number) is not None for mark in (None, ".", ","))
        if is_number and not re.search(r"\d{3}", behind):  # as in "5 March 1998"
            unit = tuple(dict.fromkeys((*notation.unit, behind)))
            remedy = {"unit": unit[0] if len(unit) == 1 else unit}
            return Finding(f"unit {behind}", notation.say_unit(behind), remedy)
    return Finding("text", "")


_UNKNOWN_LIMIT = Finding(
    "unknown limit",
    "says that the value is beyond a limit of the assay, and not which; write the limit, such as "
    "'<5', in its place, and declare censored='limit'",
)


_NO_NUMBER = Finding(
    "limit of a range",
    "is to be the limit of a normal range, which is one number; write it without '<' or '>'",
)


def _limit(text, rest, notation):
    """Return what a text is that begins with "<" or the like."""
    if not any(character.isdecimal() for character in rest):
        return _UNKNOWN_LIMIT
    if notation.is_limit:
        return _NO_NUMBER
    remedy = {"censored": "limit"}
    if notation._number(notation._without_unit(rest)) is None:
        inner = recognize(rest, notation)
        if inner.remedy is None:
            return Finding("text", "")
        remedy |= inner.remedy
    what = "is a limit of the assay, not a number; to read it as the limit itself"
    return Finding("limit", f"{what} ({text!r} as {rest!r})", remedy)


def _marked(text, decimal, what, notation):
    """Return what a number with commas, points or blanks in it is."""
    if notation.decimal is not None:
        declared = "decimal=" + repr(notation.decimal)
        return Finding("other", f"is not a number with {declared}; if it is one {what}, correct it")
    both = all(_FORMS[mark].fullmatch(text) for mark in ".,") and text.count(",") == 1
    if both:
        return Finding(
            "comma",
            "is a number with a decimal comma, or with a comma between thousands (then declare "
            "decimal='.'); if the comma is a decimal sign",
            {"decimal": ","},
        )
    return Finding(f"decimal {decimal}", f"is a number {what}; to read it", {"decimal": decimal})


def thousands_with_points(texts):
    """Return the texts that are thousands with points ("1.200") if no other text has a decimal."""
    pointed = [text for text in texts if "." in text]
    whole = [text for text in texts if text.lstrip("+-").isdecimal()]
    is_grouped = bool(pointed) and all(_THOUSANDS.fullmatch(text) for text in pointed)
    # "%.3f" gives every number three decimals; then there is no whole number beside them.
    is_grouped = is_grouped and not any("e" in text.lower() for text in texts)
    return pointed if is_grouped and any(abs(int(text)) >= 10 for text in whole) else []
