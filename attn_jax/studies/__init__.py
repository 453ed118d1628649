"""Studies: commands that measure rather than train one system."""
