"""Does a better search give a better network? Found configs against the field's, trained alike."""
