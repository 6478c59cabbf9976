"""The axes on which pictures are compared with a painter's works: named here and nowhere else."""

from typing import Literal, get_args

Axis = Literal["tone", "brushwork", "composition", "depiction", "style"]
AXES: tuple[Axis, ...] = get_args(Axis)  # in the order of tables and pages
AXIS_WORDS: dict[str, str] = {  # what a person reads
    "tone": "tone",
    "brushwork": "brushwork",
    "composition": "composition",
    "depiction": "depiction",
    "style": "whole style",
}
