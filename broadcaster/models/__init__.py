"""The command ``broadcaster models``: which weights of the neural engines are there."""
