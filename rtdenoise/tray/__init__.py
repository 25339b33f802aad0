"""The icon in the tray, a client of the session's control socket (``pip install 'rtdenoise[tray]'``)."""
