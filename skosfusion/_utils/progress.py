"""The one progress bar."""

from tqdm.auto import tqdm

# Shorter work shows no bar.
DELAY_SECONDS = 3.0


def progress_bar(iterable=None, *, shown, **options):
    """Make a tqdm bar that appears only for long work and leaves nothing behind."""
    return tqdm(iterable, delay=DELAY_SECONDS, leave=False, disable=not shown, **options)
