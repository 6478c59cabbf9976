"""`artmaster refine`: a super-resolution network refined on a painter's own large scans."""

from pathlib import Path
from typing import Annotated

import typer

from artmaster_pipeline.cli.options import JsonOption
from artmaster_pipeline.cli.printing import print_json, short
from artmaster_pipeline.progress import terminal_progress
from artmaster_pipeline.superres.networks import DEFAULT_NETWORK
from artmaster_pipeline.superres.refining import STEPS
from artmaster_pipeline.terminal import out


def refine(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", help="The painter's large scans, and folders.")],
    target: Annotated[Path, typer.Option("--out", help="The .safetensors file for the refined network.")],
    network: Annotated[str, typer.Option(help="A shipped network, or a .pth or .safetensors file.")] = DEFAULT_NETWORK,
    steps: Annotated[int, typer.Option(min=1, max=10_000, help="Of the optimiser.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, help="Of the crops that are seen.")] = 0,
    json: JsonOption = False,
) -> None:
    """Refine a super-resolution network on a painter's scans, reduced and enlarged again; minutes on a CPU.

    Every fifth scan is held out and judges: where the network comes no nearer to those, nothing is written.
    """
    from artmaster_pipeline.superres.refined_files import refine_network

    done = refine_network(inputs, target, network=network, steps=steps, seed=seed, progress=terminal_progress())
    if json:
        print_json(
            {
                "path": str(done.path),
                "network": done.network,
                "scans": done.scans,
                "left": [{"source": str(source), "reason": reason} for source, reason in done.left],
                "lpips": done.lpips,
                "texture_db": done.texture,
            }
        )
        return
    for source, reason in done.left:
        out.say(f"{short(source)} was not used: {reason}.")
    (before, after), (rough, fine) = done.lpips, done.texture
    out.say(f"{short(done.path)}: {done.network}, refined on {len(done.scans)} scans.")
    out.say(f"To scans held out: LPIPS {before:.3f} before, {after:.3f} after; texture {rough:.1f} dB, {fine:.1f} dB.")
    out.say(f"Use it: artmaster upscale --network {short(done.path)} ..., or super_resolution in a profile.")
