"""medseg: a scan goes in, a mask on the scanner's own grid comes out."""

import lazy_loader

__version__ = "0.1.0"

# names and their modules stand in __init__.pyi; nothing is imported before it is used
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
