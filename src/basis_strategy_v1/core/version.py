"""The package's version, for those modules that the package itself names and that so cannot import it."""

VERSION = "0.1.0"
