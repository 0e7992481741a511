"""Parts of the comparison of methods: data sets, methods, folds, statistics and report."""
