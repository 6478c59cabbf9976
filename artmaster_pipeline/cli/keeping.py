"""`artmaster painters settings`: what keeps a data home in order beside the runs."""

from rich.markup import escape

from artmaster_pipeline.cli.options import HomeOption, PainterArgument
from artmaster_pipeline.cli.printing import out, printable, short
from artmaster_pipeline.settings import Home


def painters_settings(painter: PainterArgument, home: HomeOption = None) -> None:
    """Write down what each stage uses of painter.yaml and the profile, and say where; DVC compares that file."""
    from artmaster_pipeline.stage_settings import write_settings

    out.print(escape(printable(short(write_settings(Home.find(home), painter)))))
