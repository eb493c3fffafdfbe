"""PostgreSQL: the only package that speaks SQL, and all of its SQL is in sql/."""
