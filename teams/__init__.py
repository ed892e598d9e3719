"""The people side of the house."""
