"""S3FD, the face detector whose boxes the lip-sync networks' authors used; from the user's weights.

Runs where an avatar is prepared, never on air. Needs torch.
"""
