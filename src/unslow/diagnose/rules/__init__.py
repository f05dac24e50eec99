"""One rule per file; the catalogue names them all."""
