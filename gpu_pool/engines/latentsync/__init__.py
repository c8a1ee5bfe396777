"""LatentSync 1.0: how it sees a face, and how that becomes a picture again."""
