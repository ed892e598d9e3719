"""The machine side of the house."""
