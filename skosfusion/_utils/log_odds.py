"""Scores that are log-odds for certain, whatever their size."""


class LogOdds(dict):
    """Row to its scores, as `cross_val_scores` returns them; no probabilities are among them.

    What is put in later may be anything, and is not certain.
    """

    def __init__(self, rows):
        super().__init__(rows)
        self._certain = dict(rows)

    def is_certain(self, row):
        """Return whether the scores of a row are those that came with it."""
        return row in self and self._certain.get(row) is self[row]
