"""Who vouches for an image: keys, statements, bundles, and the verifier that believes none of them.

Bytes in, values out; the registry is reached through its port alone, and only ``key_file`` touches
files. Nothing here may skip a check: there is no such switch (law 6).
"""
