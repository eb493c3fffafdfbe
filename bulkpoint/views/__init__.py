"""What people see: views that print themselves as JSON, text and pages; templates, languages, drawings."""
