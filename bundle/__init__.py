"""A trained network ready to be deployed: one folder or archive that proves what it claims."""
