"""Images that nothing needs any more: found, judged, told, and removed where a person says so.

::

    survey.py   ledger, target and registry -> what is there, and what of it may go
    remove.py   an image and what is attached to it -> gone

The rule itself is :mod:`pipeline.domain.retention`'s. Nothing here guesses: a neighbour that
cannot be read keeps everything that it might have spoken for.
"""
