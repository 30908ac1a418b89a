"""Random problems, broken files and kills for as long as one likes: `make soak MINUTES=30`."""
