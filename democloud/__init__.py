"""A small OpenStack look-alike served over HTTP, for the demo and the tests.

It knows nothing of the panel and can be run alone: `python -m democloud --port 8774`.
What it answers is kept true by tests/contract, which puts the same questions to a real Nova.
"""
