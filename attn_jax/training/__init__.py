"""Training: build, update, loop, checkpoint, report."""
