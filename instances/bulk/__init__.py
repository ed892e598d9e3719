"""Bulk actions: what is chosen and reviewed, asked for, and carried on until all have settled."""
