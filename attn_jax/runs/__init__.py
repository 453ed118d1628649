"""Runs: taken up again from their folder, whatever system made them."""
