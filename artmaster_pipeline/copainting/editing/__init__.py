"""Existing works changed: a part repainted, a style replaced with the structure kept, a scroll extended at its sides.

Of the work nothing changes but what a mask names: every other sample goes into the picture as it is in the file. Which
pixels are the work's and which were made stands in a record, in the picture's own file and in a mask beside it.
"""

from artmaster_pipeline.copainting.editing.making import edit
from artmaster_pipeline.copainting.editing.records import Edited
from artmaster_pipeline.copainting.editing.wishes import Wish

__all__ = ["Edited", "Wish", "edit"]
