"""Scores that are log-odds for certain, whatever their size."""


class LogOdds(dict):
    """Row to its scores, as `cross_val_scores` returns them; no probabilities are among them."""
