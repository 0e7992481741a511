"""Fonts of this machine for letters that matplotlib's own font lacks, such as Chinese."""

from functools import lru_cache

# Tried first; any other font of this machine will do, too.
_WIDE = ("noto sans cjk", "noto sans", "source han", "wenquanyi", "simhei", "yahei", "pingfang",
         "hiragino", "yu gothic", "malgun", "arial unicode", "unifont")  # fmt: skip
_NO_FONT = "last resort"


def choose_fonts(figure):
    """Give each text of a figure fonts that have its letters; return the letters that none has."""
    from matplotlib.text import Text

    absent = set()
    for text in figure.findobj(Text):
        letters = {letter for letter in text.get_text() if letter.isprintable()}
        if "".join(letters).isascii():
            continue
        letters -= _letters_of(text)
        families = []
        for name, path in _fonts():
            if not letters:
                break
            known = {letter for letter in letters if ord(letter) in _codes(path)}
            families += [name] if known else []
            letters -= known
        if families:
            text.set_fontfamily([*text.get_fontfamily(), *families])
        absent |= letters
    return absent


def _letters_of(text):
    """Return the letters of a text that its own fonts have."""
    from matplotlib.font_manager import FontProperties, fontManager

    known = set()
    for family in text.get_fontfamily():
        try:
            one = FontProperties(family=[family])  # a text would be read as a pattern of fonts
            known |= _codes(fontManager.findfont(one, fallback_to_default=False))
        except ValueError:  # this machine has no such font
            continue
    return {letter for letter in text.get_text() if ord(letter) in known}


def _fonts():
    """Return name and path of the fonts that matplotlib finds, upright and of usual weight."""
    from matplotlib.font_manager import fontManager

    fonts = {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and str(font.weight) in ("400", "normal", "regular", "350")
        and not font.name.lower().startswith(_NO_FONT)
    }  # fmt: skip
    return sorted(fonts.items(), key=lambda font: (_place(font[0]), font[0]))


def _place(name):
    wide = (place for place, start in enumerate(_WIDE) if name.lower().startswith(start))
    return next(wide, len(_WIDE))


@lru_cache(maxsize=64)
def _codes(path):
    """Return the numbers of the letters that a font has; none of one that cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
