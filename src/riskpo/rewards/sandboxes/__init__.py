"""Where programs run: bubblewrap, a server, or unprotected."""
