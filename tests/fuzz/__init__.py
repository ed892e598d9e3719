"""Answers, forms and names that no honest cloud, machine or browser sends."""
