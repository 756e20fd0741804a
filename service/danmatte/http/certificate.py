"""The TLS certificate, read at startup and again when its files change."""

import logging
import ssl
from pathlib import Path

from danmatte.errors import SettingsError

log = logging.getLogger(__name__)


class Certificate:
    """PEM files of a certificate chain and its key, with an SSL context for TLS 1.2 or newer. Raises SettingsError.

    It can be renewed, because servers run longer than certificates are valid; open connections aren't affected.
    """

    def __init__(self, chain: str, key: str) -> None:
        self.files = (Path(chain), Path(key))
        self.context = self._load()

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The bytes of the key and of the chain. Raises OSError."""
        chain, key = self.files
        return key.read_bytes(), chain.read_bytes()

    def renew(self) -> bool:
        """Load the files for new connections.

        Returns False if they don't form a valid pair; then an error is logged, and the current certificate stays.
        """
        try:
            self._load()  # first into a separate context: a new chain with an old key would break every handshake
            self.context.load_cert_chain(*self.files)
        except (SettingsError, OSError) as error:
            log.error("the certificate is unchanged: %s", error)
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
