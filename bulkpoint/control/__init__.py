"""What people ask for, one use case a file."""
