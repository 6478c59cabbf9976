"""The miniature FLUX: its shape, its vocabulary, the weights that ship, and the script that trained them."""

from artmaster_pipeline.base_models.miniature.model import miniature_folder

__all__ = ["miniature_folder"]
