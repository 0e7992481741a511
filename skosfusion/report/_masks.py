"""Counts of so few patients that they could be known by them."""

FEWEST = 5
MASKED = "masked"
FEW = f"<{FEWEST}"


def is_few(n):
    """Return whether a count must not be shown; 0 names nobody."""
    return 0 < n < FEWEST


def masked_count(n):
    """Return a count as text, "<5" for a few."""
    return FEW if is_few(n) else str(n)


def masked_levels(counts):
    """Return texts for counts by level (rows) and class (columns), with their sum as last column.

    The sum of all levels counts as known: no count of a few can be had by subtraction.
    """
    hidden, is_told = hidden_levels(counts)
    texts = {}
    for level, line in counts.items():
        if level in hidden:
            few = FEW if is_told else MASKED
            texts[level] = [few if is_few(n) else MASKED for n in line] + [MASKED]
        else:
            texts[level] = [str(n) for n in [*line, sum(line)]]
    return texts


def masked_parts(counts):
    """Return texts for one count a part, of which the sum counts as known."""
    levels = masked_levels({part: [n] for part, n in counts.items()})
    return {part: line[0] for part, line in levels.items()}


def hidden_levels(counts, few=()):
    """Return the levels to hide, and whether those with a few may say so.

    Beside levels with a few, and those in `few`, so many others are hidden, the smallest first,
    that what is left of a known sum fits each number of a few. Where all that there are do not
    suffice, nothing must tell the few from the others.
    """
    hidden = {level for level, line in counts.items() if any(map(is_few, line))} | set(few)
    if len(counts) == 1:
        # It is the whole, and no part of one.
        return hidden, True
    others = sorted(
        (level for level in counts if level not in hidden), key=lambda x: sum(counts[x])
    )
    others = [level for level in others if sum(counts[level])]
    while hidden and not _is_ambiguous([counts[level] for level in hidden]):
        if not others:
            return hidden, False
        hidden.add(others.pop(0))
    return hidden, True


def _is_ambiguous(lines):
    """Return whether each count of a few could be any of these, given the sum of each column."""
    return all(map(_column_is_ambiguous, zip(*lines, strict=True)))


def _column_is_ambiguous(counts):
    n_few, total = sum(map(is_few, counts)), sum(counts)
    n_others = len(counts) - n_few
    if not n_few:
        return n_others > 1 or total == 0

    def fits(one):
        rest = range(n_few - 1, (FEWEST - 1) * (n_few - 1) + 1)
        left = [total - one - others for others in rest]
        return any(n == 0 or (n_others and n >= FEWEST) for n in left)

    return all(map(fits, range(1, FEWEST)))
