"""Be the demo's machines: disks that last, systems that boot from them, and SSH to log in by."""
