"""HTTP to servers on this machine, past any proxy that the environment names for the rest of the world."""

from urllib.request import ProxyHandler, build_opener

open_url = build_opener(ProxyHandler({})).open
"""As `urllib.request.urlopen`."""
