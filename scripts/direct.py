"""HTTP requests to servers on this machine, without the proxy that the environment may set."""

from urllib.request import ProxyHandler, build_opener

open_url = build_opener(ProxyHandler({})).open
"""As `urllib.request.urlopen`, without a proxy."""
