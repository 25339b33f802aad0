"""What the bytes of a container say, where its header lies or libsndfile needs help."""
