"""The words for female and male, as tables of several languages write them."""

from .._utils.cells import spelling

FEMALE = ("f", "female", "woman", "girl")
FEMALE += ("weiblich", "frau", "mädchen", "maedchen")
FEMALE += ("femme", "fille", "féminin", "feminin")
FEMALE += ("mujer", "niña", "femenino", "femenina", "feminino")
FEMALE += ("donna", "femmina", "femminile")
FEMALE += ("kad\u0131n", "kadin", "k\u0131z", "kiz")
FEMALE += ("女", "女性")
MALE = ("m", "male", "man", "boy")
MALE += ("männlich", "maennlich", "mann", "junge")
MALE += ("h", "homme", "garçon", "masculin")
MALE += ("hombre", "varón", "varon", "niño", "masculino")
MALE += ("uomo", "maschio", "maschile")
MALE += ("erkek",)
MALE += ("男", "男性")

WORDS_OF_GENDER = "'f', 'female', 'm', 'male' and the usual words of other languages"
"""What errors say in place of the two lists."""

# Beside one of these, "m" may be short for "mujer", which is female.
_MAN_OF_SPAIN = frozenset({"h", "hombre", "v", "varón", "varon"})


def gender_of_words():
    """Return {spelling: "female" or "male"} of the words that need no declaration."""
    return dict.fromkeys(FEMALE, "female") | dict.fromkeys(MALE, "male")


def refuse_two_meanings(cells, column, male, remedy):
    """Raise ValueError for a column where "m" may be a man or, in Spanish, a woman.

    `male` are the spellings that count as male and that nobody declared; `remedy` returns what to
    do, of the word for a man.
    """
    if "m" not in male:
        return
    found = {spelling(cell) for cell in cells if isinstance(cell, str) and len(cell) <= 80}
    men = sorted(found & _MAN_OF_SPAIN)
    if men and "m" in found:
        raise ValueError(
            f"column {column!r} holds both 'm' and {men[0]!r}, so that 'm' may stand for 'mujer' "
            f"(female) or for male; {remedy(men[0])}"
        )
