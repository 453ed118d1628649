"""Recurrent visual attention in JAX."""
