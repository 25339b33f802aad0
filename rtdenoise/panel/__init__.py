"""The control panel of live sessions: a web page on this machine, and the process behind it."""
