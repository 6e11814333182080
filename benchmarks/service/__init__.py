"""The server under load, on both stores."""
