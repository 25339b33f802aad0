"""Who may talk to the panel: this machine alone, pages of our own alone, and those who know the secret alone."""

from __future__ import annotations

import hmac
import secrets

NOBODY, STRANGER, FOREIGN = "wrong token", "wrong host", "foreign origin"
_HOSTS = ("127.0.0.1", "localhost")
_OWN = ("same-origin", "none")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """The secret of one panel, and the checks of every request.

    The secret is never in a cookie: browsers send those to all ports of this machine, and with requests of other sites.
    A page has it from the fragment of its address, which no server sees, and sends it itself.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._token = secrets.token_urlsafe(32)
        self._invitations: set[str] = set()

    @property
    def address(self) -> str:
        """The address with the secret in it, for its user's eyes."""
        return self._with(self._token)

    def invitation(self) -> str:
        """An address that works once: other users may see what a browser is started with."""
        token = secrets.token_urlsafe(32)
        self._invitations.add(token)
        return self._with(token)

    def _with(self, token: str) -> str:
        return f"http://127.0.0.1:{self._port}/#{token}"

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: nothing from elsewhere."""
        sockets = " ".join(f"ws://{host}:{self._port}" for host in _HOSTS)  # some browsers do not count them as own
        return (
            f"default-src 'self'; connect-src 'self' {sockets}; frame-ancestors 'none'; base-uri 'none'; "
            "form-action 'none'; object-src 'none'"
        )

    def refusal(self, host: str | None, origin: str | None, site: str | None, *, needs_origin: bool) -> str:
        """Why a request with these headers is refused; empty if it is not.

        Parameters
        ----------
        host, origin, site : str, optional
            The headers Host, Origin and Sec-Fetch-Site.
        needs_origin : bool
            Whether it must say where it comes from, as a browser does for WebSockets.
        """
        if host not in {f"{name}:{self._port}" for name in _HOSTS}:
            return STRANGER
        if origin != f"http://{host}" if origin is not None else needs_origin:
            return FOREIGN
        return "" if site is None or site in _OWN else FOREIGN

    def admits(self, token: object) -> str | None:
        """The lasting secret, if this one is right or an invitation; None otherwise."""
        if not isinstance(token, str):
            return None
        if self._is(token, self._token):
            return self._token
        for invitation in self._invitations:
            if self._is(token, invitation):
                self._invitations.discard(invitation)
                return self._token
        return None

    def knows(self, header: str | None) -> bool:
        """Whether an Authorization header has the lasting secret."""
        return header is not None and self._is(header, f"Bearer {self._token}")

    @staticmethod
    def _is(given: str, right: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
