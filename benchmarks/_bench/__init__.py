"""Parts of the speed benchmarks: options, images, timing, rivals, machine facts and report."""
