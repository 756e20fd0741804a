"""The certificate that TLS shows: read at the start, and again when it was replaced."""

import logging
import ssl
from pathlib import Path

from danmatte.errors import SettingsError

log = logging.getLogger(__name__)


class Certificate:
    """PEM files of a chain and its key, and TLS 1.2 and newer with them. Raises SettingsError.

    Certificates live for weeks and servers for months, so that it can be renewed: connections that are open stay.
    """

    def __init__(self, chain: str, key: str) -> None:
        self.files = (Path(chain), Path(key))
        self.context = self._load()

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The key's bytes and the chain's. Raises OSError."""
        chain, key = self.files
        return key.read_bytes(), chain.read_bytes()

    def renew(self) -> bool:
        """Has new connections see what the files are now; False where they are no pair, which is logged.

        Then the one before goes on.
        """
        try:
            self._load()  # first into a context of its own: one with a new chain and an old key would serve nobody
            self.context.load_cert_chain(*self.files)
        except (SettingsError, OSError) as error:
            log.error("the certificate stays as it was: %s", error)
            return False
        log.info("the certificate was read from %s", self.files[0])
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self.files)
        except OSError as error:  # ssl.SSLError is one
            raise SettingsError(f"tls_certificate, tls_key: expected a PEM certificate and its key: {error}") from error
        return context
