"""Parts of the ablation script: its options, data, encoder, resumable units and report."""
