"""A typed client of the HTTP API; `service.client.client.Client` is all of it."""
