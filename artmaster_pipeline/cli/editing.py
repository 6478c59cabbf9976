"""`artmaster repaint`, `restyle` and `outpaint`: an existing work changed, and nothing of it but what is asked."""

from pathlib import Path
from typing import Annotated, Any

import typer

from artmaster_pipeline.cli.drawing import AdapterOption
from artmaster_pipeline.cli.options import (
    GuidanceOption,
    HomeOption,
    JsonOption,
    StrengthOption,
    TrueCfgOption,
    UnguidedOption,
)
from artmaster_pipeline.cli.printing import print_json
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.settings import Home
from artmaster_pipeline.terminal import out

_Picture = Annotated[Path, typer.Argument(help="The work: a PNG, TIFF, JPEG or WebP of 8 or 16 bits.")]
_Painter = Annotated[str, typer.Option("--painter", help="The painter whose hand paints.")]
_Prompt = Annotated[str, typer.Argument(help="What is to be seen there; the trigger word is added.")]
_Count = Annotated[int, typer.Option("-n", min=1, help="How many pictures.")]
_Seed = Annotated[int, typer.Option(help="The first picture's seed; the next ones count up.")]
_Out = Annotated[Path, typer.Option("--out", help="The picture as .png or .tif, or the folder for it.")]
_Window = Annotated[
    int | None,
    typer.Option(help="How many pixels of the work the model sees at once, the shorter side (default: as it suits)."),
]
_Feather = Annotated[
    int | None, typer.Option(help="Pixels inside the mask over which the work fades out (default: as it suits).")
]
_Sign = Annotated[
    bool | None,
    typer.Option("--sign/--no-sign", help="Content credentials (default: where the house has keys)."),
]


def repaint(
    picture: _Picture,
    mask: Annotated[Path, typer.Option("--mask", help="A PNG or TIFF of the picture's shape: white is painted.")],
    painter: _Painter,
    prompt: _Prompt = "",
    n: _Count = 1,
    seed: _Seed = 0,
    adapter: AdapterOption = None,
    strength: StrengthOption = None,
    guidance_scale: GuidanceOption = None,
    true_cfg_scale: TrueCfgOption = None,
    adapter_in_unguided: UnguidedOption = None,
    window: _Window = None,
    feather: _Feather = None,
    sign: _Sign = None,
    destination: _Out = Path(),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Paint a part of a work anew in a painter's hand. Outside the mask nothing changes."""
    _edit(
        home,
        as_json,
        kind="repaint",
        picture=picture,
        mask=mask,
        painter=painter,
        prompt=prompt,
        count=n,
        seed=seed,
        adapter_id=adapter,
        window=window,
        feather=feather,
        sign=sign,
        out=destination,
        drawing=_drawing(strength, guidance_scale, true_cfg_scale, adapter_in_unguided),
    )


def restyle(
    picture: _Picture,
    painter: _Painter,
    prompt: _Prompt = "",
    mask: Annotated[
        Path | None, typer.Option("--mask", help="Only here, where it is white (default: the whole work).")
    ] = None,
    keep: Annotated[float, typer.Option(help="How much of the structure is kept, 0 to 0.95.")] = 0.5,
    control: Annotated[
        bool, typer.Option("--control", help="Hold it to the work's edges by the profile's ControlNet.")
    ] = False,
    n: _Count = 1,
    seed: _Seed = 0,
    adapter: AdapterOption = None,
    strength: StrengthOption = None,
    guidance_scale: GuidanceOption = None,
    true_cfg_scale: TrueCfgOption = None,
    adapter_in_unguided: UnguidedOption = None,
    window: _Window = None,
    feather: _Feather = None,
    sign: _Sign = None,
    destination: _Out = Path(),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Give a work, or a part of it, a painter's style and keep its structure."""
    _edit(
        home,
        as_json,
        kind="restyle",
        picture=picture,
        mask=mask,
        keep=keep,
        control=control,
        painter=painter,
        prompt=prompt,
        count=n,
        seed=seed,
        adapter_id=adapter,
        window=window,
        feather=feather,
        sign=sign,
        out=destination,
        drawing=_drawing(strength, guidance_scale, true_cfg_scale, adapter_in_unguided),
    )


def outpaint(
    picture: _Picture,
    painter: _Painter,
    prompt: _Prompt = "",
    left: Annotated[int, typer.Option(help="Pixels to be added at the left.")] = 0,
    right: Annotated[int, typer.Option(help="Pixels to be added at the right.")] = 0,
    keep: Annotated[
        float, typer.Option(help="How much of the work's mirror image shapes what is added, 0 to 0.95.")
    ] = 0.2,
    n: _Count = 1,
    seed: _Seed = 0,
    adapter: AdapterOption = None,
    strength: StrengthOption = None,
    guidance_scale: GuidanceOption = None,
    true_cfg_scale: TrueCfgOption = None,
    adapter_in_unguided: UnguidedOption = None,
    window: _Window = None,
    feather: _Feather = None,
    sign: _Sign = None,
    destination: _Out = Path(),
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Go on with a scroll at its left and right. The work itself stays as it is."""
    _edit(
        home,
        as_json,
        kind="outpaint",
        picture=picture,
        left=left,
        right=right,
        keep=keep,
        painter=painter,
        prompt=prompt,
        count=n,
        seed=seed,
        adapter_id=adapter,
        window=window,
        feather=feather,
        sign=sign,
        out=destination,
        drawing=_drawing(strength, guidance_scale, true_cfg_scale, adapter_in_unguided),
    )


def _drawing(
    strength: float | None, guidance_scale: float | None, true_cfg_scale: float | None, unguided: bool | None
) -> dict[str, Any]:
    return {
        "strength": strength,
        "guidance_scale": guidance_scale,
        "true_cfg_scale": true_cfg_scale,
        "adapter_in_unguided": unguided,
    }


def _edit(home: Path | None, as_json: bool, **wish: Any) -> None:
    from artmaster_pipeline.copainting.editing import Wish, edit

    place = Home.find(home)
    done = edit(place, Wish(**wish), progress=terminal_progress())
    if as_json:
        print_json([record.model_dump(mode="json") for _, record in done])
        return
    for file, record in done:
        out.say(str(file))
        out.say(f"  {record.share:.1%} of it was made, in {record.windows} windows; the mask: {record.mask}")
        if record.edge_f_score is not None:
            out.say(f"  edges against the work's: F {record.edge_f_score:.2f}")
        out.say(f"  rights of the work: {record.rights}")
