"""Track formats, one file each. A further one is a file here and a line in the list below."""

from danmatte.tracks.formats import mattes as mattes
from danmatte.tracks.formats import vtt as vtt
from danmatte.tracks.formats import webmask as webmask
