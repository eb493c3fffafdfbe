"""What people look at: progress, results."""
