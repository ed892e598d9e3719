"""What is done on a rescued machine: prove that one gets in, look at disks, mount, repair.

``access`` proves the way in, ``jobs`` runs work, ``mounts`` and ``repairs`` are that work.
"""
