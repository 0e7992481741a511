"""The one progress bar."""

from tqdm.auto import tqdm

# Shorter work shows no bar.
DELAY_SECONDS = 3.0


def progress_bar(iterable=None, *, shown, **options):
    """Make a tqdm bar for long work, that leaves nothing behind; None shows it on terminals."""
    disable = None if shown is None else not shown
    return tqdm(iterable, delay=DELAY_SECONDS, leave=False, disable=disable, **options)
