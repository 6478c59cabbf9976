"""`artmaster painters settings`, `rename` and `remove`: what keeps a data home in order beside the runs."""

from artmaster_pipeline.cli.options import HomeOption, PainterArgument
from artmaster_pipeline.cli.printing import short
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out


def painters_settings(painter: PainterArgument, home: HomeOption = None) -> None:
    """Write down what each stage uses of painter.yaml and the profile, and say where; DVC compares that file."""
    from artmaster_pipeline.stage_settings import write_settings

    out.say(short(write_settings(Home.find(home), painter)))
