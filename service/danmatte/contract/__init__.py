"""What danmatte and its workbench share, and all that the workbench may import of danmatte.

    manifest       what stands in a published version's manifest.json (models/CONTRACT.md)
    artifact       a published version's folder: read as hostile input, written whole or not at all
    framing        the geometry from a frame to a graph's input, and from its output to a mask
    grid           where a graph's output values lie in its input
    scaling        pictures made smaller, fast
    configuration  how a graph is run
    measurement    a number, its interval and the host that it was measured on
    cores          how many CPU cores this process may use
    command_line   sizes, JSON, help and version on both command lines
    places         where models are when nobody says so
    near_words     "did you mean …?"

Importing this package imports none of them: only `framing` and `scaling` need OpenCV and FFmpeg.
"""

from danmatte.errors import ManifestError as ManifestError
