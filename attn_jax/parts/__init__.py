"""Parts: config sections, and what is made of them, that two systems or more share."""
