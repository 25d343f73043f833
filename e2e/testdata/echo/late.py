"""A module that takes longer to import than the gateway's signature of a call lives."""

import time

from echo import echo  # noqa: F401

time.sleep(75)
