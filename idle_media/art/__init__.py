"""The presenters' art: Python that emits SVG, and the bake that turns it into an atlas.

Development time only: it needs ``requirements/art.txt``. Nothing at run time may import it.
"""
