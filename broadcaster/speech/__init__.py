"""Sound of tasks: from whatever a client uploads to the samples that go on air.

Uploads are hostile until decoded. Must never decode in the process of the API or of the studio.
"""
