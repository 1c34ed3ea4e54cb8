"""The package's version, for the modules that the package itself names."""

import sys

VERSION: str = vars(sys.modules[__name__.partition(".")[0]])["__version__"]  # an import of the package would be a circle
