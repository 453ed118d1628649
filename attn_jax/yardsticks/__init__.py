"""The samplers held against others: their values, their gradients, their time."""
