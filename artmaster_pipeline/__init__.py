"""ArtMaster: a model of one painter's hand, and proof of which artworks are in it.

Importing this package switches the usage reports of the libraries below it off (Dagster's, DVC's and the hub
client's) and says how their threads wait for one another (`threads`). It has POT leave jax alone, which is installed
for the sake of a file: POT would import it at once, for a second and a hundred MB. The user's own environment may say
otherwise.
"""

import os

from artmaster_pipeline.threads import set_environment as _set_environment

for _name, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "POT_BACKEND_DISABLE_JAX": "1",
}.items():
    os.environ.setdefault(_name, _value)

_set_environment()

__version__ = "0.1.0"
