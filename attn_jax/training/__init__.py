"""The engine: trains any `Experiment`, saves it, resumes it and writes its report."""
