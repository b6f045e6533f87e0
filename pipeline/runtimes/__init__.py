"""The model servers that an image can carry: which fits which model, and how each starts.

``table`` is data and ``serving`` reads package files: no network, no subprocess. The scripts in
``image/`` run inside images only, with the image's own packages.
"""
