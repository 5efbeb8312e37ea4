"""medseg: a scan goes in, a mask on the scanner's own grid comes out."""

__version__ = "0.1.0"
