"""Bayesian modelling for marketing: media mix, customers, targeting, synthetic twins.

The public names are listed in `__init__.pyi`; each is loaded on first use, so that
importing the package costs neither PyMC nor JAX.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__version__ = "0.1.0"
