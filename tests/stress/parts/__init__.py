"""Parts of the stress scripts."""
