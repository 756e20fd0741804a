"""Track formats, one file each. To add a format, add a file here and a line to the list below."""

from danmatte.tracks.formats import mattes as mattes
from danmatte.tracks.formats import vtt as vtt
from danmatte.tracks.formats import webmask as webmask
