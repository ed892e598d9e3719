"""The repairs, one module each. A sixth is a module with a ``Repair`` and its line in ``kinds``."""
