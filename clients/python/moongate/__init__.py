"""Client of Moongate's file port.

`Client` speaks its calls: whole batches and training shards as generators, single files, listings. `moongate.fs` has
an fsspec file system over it, which fsspec finds by itself under `moongate://`. Needs nothing but the standard
library; the file system needs fsspec.
"""

from .client import Client
from .errors import Missing, MoongateError, Refused, Unreachable
from .shards import Shards

__all__ = ["Client", "Missing", "MoongateError", "Refused", "Shards", "Unreachable"]
__version__ = "0.1.0"
