"""The code that danmatte and its workbench share, and the only part of danmatte that the workbench may import.

    manifest       a published version's manifest.json (models/CONTRACT.md)
    artifact       a published version's folder: read as untrusted input, and written atomically
    framing        the geometry from a frame to a graph's input, and from its output to a mask
    grid           where a graph's output values lie in its input
    scaling        fast downscaling of pictures
    configuration  how a graph is run
    measurement    a number, its interval and the host that it was measured on
    cores          how many CPU cores this process may use
    command_line   sizes, JSON, help and version on both command lines
    places         the default folders of models
    near_words     suggestions for misspelt words

Importing this package doesn't import its modules, because `framing` and `scaling` need OpenCV and FFmpeg.
"""

from danmatte.errors import ManifestError as ManifestError
