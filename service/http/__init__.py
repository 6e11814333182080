"""The HTTP API; see `service.http.app`."""
