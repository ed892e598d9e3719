"""What people see of teams and of themselves."""
