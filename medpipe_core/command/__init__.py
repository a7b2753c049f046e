"""The command lines `medpipe-run` and `medpipe`."""
