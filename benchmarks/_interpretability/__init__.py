"""Parts of the interpretability script: what it measures, and how it reports."""
