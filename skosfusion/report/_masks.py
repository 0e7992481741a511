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

    A level with few patients in any class has no sum, and where it is the only one, the level with
    the next fewest is masked too: neither can be had as a difference from what is shown.
    """
    few = {level for level, line in counts.items() if any(is_few(n) for n in line)}
    hidden = set()
    if len(few) == 1:
        others = [level for level, line in counts.items() if level not in few and sum(line)]
        hidden = set(sorted(others, key=lambda level: sum(counts[level]))[:1])
    texts = {}
    for level, line in counts.items():
        if level in hidden:
            texts[level] = [MASKED] * (len(line) + 1)
        elif level in few:
            texts[level] = [FEW if is_few(n) else MASKED for n in line] + [MASKED]
        else:
            texts[level] = [str(n) for n in [*line, sum(line)]]
    return texts
