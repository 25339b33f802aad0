"""Container parsing, for files with wrong headers or where libsndfile needs help."""
