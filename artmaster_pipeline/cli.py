"""`artmaster`: the terminal's front door. Each command calls one room and prints what came of it.

Exit codes: 0 done, 1 the work failed, 2 wrong use. With `--json`, stdout holds JSON and nothing else; progress and
messages go to stderr.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from artmaster_pipeline.errors import ArtMasterError, WrongUse
from artmaster_pipeline.progress import Progress
from artmaster_pipeline.settings import STAGES, Home, Stage, load_painter, load_profile, painter_profile, profile_names

if TYPE_CHECKING:
    from artmaster_pipeline.records import Verdict

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a painter's scans to a style adapter for FLUX.1-dev, and proof of which artworks are in it.",
)
painters_app = typer.Typer(no_args_is_help=True, help="The painters of the data home.")
lineage_app = typer.Typer(no_args_is_help=True, help="Which artworks fed which adapter, and where an artwork has gone.")
base_app = typer.Typer(no_args_is_help=True, help="The embedded base model, the miniature.")
app.add_typer(painters_app, name="painters")
app.add_typer(lineage_app, name="lineage")
app.add_typer(base_app, name="base")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", envvar="ARTMASTER_HOME", help="The data home (default: assets_data/).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
PainterArgument = Annotated[str, typer.Argument(help="The painter's slug, for example huang-binhong.")]


@app.callback()
def _everywhere(home: HomeOption = None) -> None:
    if home is not None:
        os.environ["ARTMASTER_HOME"] = str(home.expanduser().resolve())


@app.command()
def demo(home: HomeOption = None) -> None:
    """The whole chain on a procedural sample painter, in a data home of its own (default: .demo/)."""
    from artmaster_pipeline.sample_painters.demo import DEMO_HOME, prepare_demo

    place = Home.find(home or DEMO_HOME)
    painter = prepare_demo(place, _progress())
    _run_and_report(place, painter)
    flag = f"--home {_short(place.root)}"
    if not shutil.which("artmaster"):
        activate = Path(sys.executable).with_name("activate")
        out.print(f"\n[bold]First[/bold]         source {escape(_short(activate))}", end="")
    out.print(
        f"\n[bold]See it[/bold]        {escape(str(place.gallery(painter) / 'index.html'))}  (open it in a browser)\n"
        f"[bold]Dagster UI[/bold]    artmaster ui {flag}\n"
        f'[bold]Try next[/bold]      artmaster generate {painter} "a pavilion above the mist" {flag}\n'
        f"              artmaster painters add my-painter FOLDER_OF_SCANS && artmaster run my-painter"
    )


@painters_app.command("add")
def painters_add(
    slug: PainterArgument,
    scans_dir: Annotated[Path, typer.Argument(help="A folder of scans: JPEG, PNG, TIFF, WebP.")],
    name: Annotated[str | None, typer.Option(help="The painter's name.")] = None,
    trigger: Annotated[str | None, typer.Option(help="The words that call the style up in a prompt.")] = None,
    rights: Annotated[str | None, typer.Option(help="Who holds the rights, and what may be done.")] = None,
    home: HomeOption = None,
) -> None:
    """Copy a folder of scans into the data home. Run it again with new scans: only those are copied."""
    from artmaster_pipeline.scans import add_scans

    place = Home.find(home)
    added = add_scans(place, slug, scans_dir, name=name, trigger=trigger, rights=rights, progress=_progress())
    out.print(
        f"{slug}: {len(added.added)} added, {len(added.changed)} changed, {len(added.already_there)} already there, "
        f"{len(added.refused)} refused."
    )
    _print_table("Refused", [{"file": q.path, "reason": q.reason, "way out": q.remedy} for q in added.refused])
    for line in added.ignored_summary():
        out.print(escape(line), style="dim")
    out.print(f"Next: artmaster run {slug}")


@painters_app.command("list")
def painters_list(home: HomeOption = None, json: JsonOption = False) -> None:
    """The painters, their profiles, and what has been made for each."""
    from artmaster_pipeline.records import MANIFEST, Adapter, Sample, Scan, read_manifest

    place = Home.find(home)
    rows = []
    for slug in place.painters():
        settings = load_painter(place, slug)
        adapters = read_manifest(place.adapters(slug) / MANIFEST, Adapter)
        rows.append(
            {
                "painter": slug,
                "name": settings.name,
                "trigger": settings.trigger,
                "profile": settings.profile,
                "scans": len(read_manifest(place.register(slug) / MANIFEST, Scan)),
                "adapter": adapters[0].id if adapters else "",
                "samples": len(read_manifest(place.gallery(slug) / MANIFEST, Sample)),
            }
        )
    if json:
        _print_json(rows)
    elif rows:
        _print_table(f"Painters in {place.root}", rows)
    else:
        out.print(f"No painters in {escape(str(place.root))} yet. Add one: artmaster painters add SLUG FOLDER_OF_SCANS")


@app.command()
def run(
    painter: PainterArgument,
    profile: Annotated[
        str | None, typer.Option(help="miniature, flux-dev or flux-dev-24gb; becomes the painter's profile.")
    ] = None,
    until: Annotated[str | None, typer.Option(help=f"Stop after this stage: {', '.join(STAGES)}.")] = None,
    only: Annotated[str | None, typer.Option(help="Make this one stage, whether it is stale or not.")] = None,
    home: HomeOption = None,
) -> None:
    """Make what is stale, from the scans to the gallery. Can be stopped and run again at any moment."""
    place = Home.find(home)
    _run_and_report(place, painter, profile=profile, until=_stage(until), only=_stage(only))


@app.command()
def train(painter: PainterArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Train the painter's adapter and nothing else; under `accelerate launch` on several GPUs at once."""
    from artmaster_pipeline.evaluation import validation_panel
    from artmaster_pipeline.training import train_adapter

    place = Home.find(home)
    done = train_adapter(place, painter, painter_profile(place, painter), _progress(), validation_panel)
    (adapter,) = done.records
    if json:
        _print_json(adapter.model_dump(mode="json"))
        return
    said = "trained" if done.made else "already there"
    out.print(f"Adapter {adapter.id} of {painter}: {said}, {adapter.steps} steps, weights of step {adapter.step}.")
    out.print(f"{escape(_short(place.root / adapter.path))}\nNext: artmaster run {painter}")


@app.command()
def evaluate(
    painter: PainterArgument,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    against: Annotated[
        str | None, typer.Option(help="Another adapter's id: both on the same prompts and seeds, picture by picture.")
    ] = None,
    strengths: Annotated[
        str | None, typer.Option(help="A further grid with the adapter at these strengths, for example 0,0.5,1,1.25.")
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="A further grid with the adapter as it was earlier in the training.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure an adapter against its base, the held-out works and, if asked, another adapter; writes a report."""
    from artmaster_pipeline.evaluation import Asked, find_adapter
    from artmaster_pipeline.evaluation import evaluate as measure

    place = Home.find(home)
    profile = painter_profile(place, painter)
    asked = Asked(_strengths(strengths), checkpoints, against)
    found = find_adapter(place, painter, profile, adapter)
    with _evaluation_versioned(place, painter):
        done = measure(place, found, profile, asked, _progress())
    if json:
        contest = {"against": done.contest.as_json()} if done.contest else {}
        _print_json({"panel": done.panel, "verdict": done.verdict.model_dump(mode="json"), **contest})
        return
    _print_axes("The painter's hand (0: as the base, 1: as the painter's own works)", done.panel["axes"], "score")
    if done.contest:
        title = f"Nearer to the held-out works than adapter {done.contest.champion_id} by"
        _print_axes(title, done.contest.axes, "gain")
        if done.contest.why_not:
            out.print(f"Not compared with {done.contest.champion_id}: {done.contest.why_not}.")
    out.print(escape(done.panel["reading"]))
    _print_verdict(done.verdict)
    for grid in done.grids:
        out.print(f"Grid: {escape(_short(grid))}")
    out.print(f"Report: {escape(_short(done.report))}")


@app.command()
def gate(
    painter: PainterArgument,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Let it be published, whatever its figures.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Keep it from being published.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the verdict.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The verdict on an adapter; with --publish or --reject a person's decision in its place, with its reason."""
    from artmaster_pipeline.evaluation import Asked, decide, find_adapter, verdict_on
    from artmaster_pipeline.evaluation import evaluate as measure

    if publish and reject:
        raise WrongUse("--publish and --reject cannot both be meant: choose one.")
    place = Home.find(home)
    profile = painter_profile(place, painter)
    found = find_adapter(place, painter, profile, adapter)
    if publish or reject:
        with _evaluation_versioned(place, painter):
            decide(place, painter, found.id, "publish" if publish else "reject", reason)
            verdict = measure(place, found, profile, Asked(), _progress()).verdict
    else:
        verdict = verdict_on(place, painter, found.id)
    if json:
        _print_json(verdict.model_dump(mode="json"))
        return
    _print_verdict(verdict)
    if publish:
        out.print(f"Next: artmaster run {painter}")


@app.command()
def generate(
    painter: PainterArgument,
    prompt: Annotated[str, typer.Argument(help="What the picture shows; the trigger word is added.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 1,
    seed: Annotated[int, typer.Option(help="The first picture's seed; the next ones count up.")] = 0,
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    size: Annotated[str, typer.Option(help="512x512 or 512x768.")] = "512x512",
    enlarge: Annotated[bool, typer.Option(help="Enlarge each picture with the profile's network.")] = False,
    destination: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path(),
    home: HomeOption = None,
) -> None:
    """Draw pictures in the painter's style."""
    from artmaster_pipeline.generation import generate as draw

    place = Home.find(home)
    paths = draw(
        place,
        painter,
        painter_profile(place, painter),
        prompt,
        n,
        seed,
        adapter_id=adapter,
        out=destination,
        enlarge=enlarge,
        size=_size(size),
        progress=_progress(),
    )
    for path in paths:
        out.print(escape(str(path)))


@app.command()
def export(
    painter: PainterArgument,
    file_format: Annotated[
        Literal["diffusers", "kohya"],
        typer.Option("--format", help="diffusers, or kohya for ComfyUI, Forge and sd-scripts."),
    ],
    adapter: Annotated[str | None, typer.Option(help="An adapter's id (default: the painter's current one).")] = None,
    destination: Annotated[
        Path | None,
        typer.Option("--out", help="The file, or its folder (default: PAINTER-ID-FORMAT.safetensors, here)."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write an adapter as one file that other programs open."""
    from artmaster_pipeline.adapters.exporting import export_adapter

    done = export_adapter(Home.find(home), painter, file_format, adapter, destination)
    out.print(f"{escape(_short(done.file))} ({done.file.stat().st_size / 1e6:.1f} MB)")
    out.print(f"Adapter {done.adapter.id} of {painter}, for {escape(printable(done.adapter.base_model))}.")
    out.print(f"Trigger word, to be said in the prompt: [bold]{escape(printable(done.adapter.trigger))}[/bold]")
    for hint in done.hints:
        out.print(f"  {escape(printable(hint))}")


@app.command()
def publish(
    painter: PainterArgument,
    to: Annotated[
        str | None,
        typer.Option(help="Copy the published site there: a folder, s3://, gs://, az://, or hf://spaces/USER/NAME."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Put this older version back in place.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List the versions that are kept, and stop.")] = False,
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign pictures from now on; makes the house's keys where there are none.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Publish the current adapter's gallery, put an older version back, or copy the published site elsewhere."""
    from artmaster_pipeline.publishing import credentials, targets
    from artmaster_pipeline.publishing.publish import kept_versions

    place = Home.find(home)
    load_painter(place, painter)
    if versions:
        _print_table(f"Versions of {painter}", kept_versions(place, painter))
        return
    if sign:
        credentials.make_keys(place)
    if version:
        _put_back(place, painter, version)
    elif sign or not to:
        _publish_here(place, painter)
    if to:
        copied = targets.copy_gallery(place, painter, to, _progress())
        out.print(
            f"{painter}: version {copied.version.id} is at {escape(printable(copied.where))} "
            f"({copied.sent} files sent, {copied.there} were there)."
        )


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """What pictures say about where they come from, and whether they are as they were written (else exit code 1)."""
    from artmaster_pipeline.publishing.verify import verify_picture

    place = Home.find(home)
    answers = [verify_picture(file, place) for file in files]
    if json:
        _print_json([answer.model_dump(mode="json") for answer in answers])
    else:
        for answer in answers:
            for line in answer.lines():
                out.print(escape(printable(line)))
    if any(answer.state != "intact" for answer in answers):
        raise typer.Exit(1)


@lineage_app.command("adapter")
def lineage_adapter(
    adapter_id: Annotated[str, typer.Argument(metavar="ID", help="The adapter's id.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The artworks, crops and pictures in an adapter."""
    from artmaster_pipeline.lineage import adapter_lineage

    answer = adapter_lineage(Home.find(home), adapter_id)
    if json:
        _print_json(answer.model_dump(mode="json"))
        return
    out.print(
        f"Adapter {answer.adapter.id} of {answer.adapter.painter}: trained on {len(answer.artworks)} artworks "
        f"({len(answer.crops)} crops, {len(answer.training_images)} pictures); "
        f"{len(answer.validation)} artworks for validation; "
        f"judged by {len(answer.held_out)} held-out artworks; {len(answer.samples)} pictures drawn with it."
    )
    for scan in answer.artworks:
        out.print(f"{scan.sha256}  {escape(printable(scan.path))}  {escape(printable(scan.title))}")


@lineage_app.command("artwork")
def lineage_artwork(
    artwork: Annotated[
        str, typer.Argument(metavar="SHA_OR_ID", help="A scan's sha256, or its first 8 digits or more.")
    ],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """The adapters and published pictures that an artwork is in."""
    from artmaster_pipeline.lineage import artwork_lineage

    answer = artwork_lineage(Home.find(home), artwork)
    if json:
        _print_json(answer.model_dump(mode="json"))
        return
    for scan in answer.scans:
        out.print(f"{scan.sha256}  {scan.painter}/{escape(printable(scan.path))}  {escape(printable(scan.title))}")
    _print_table("Adapters", [use.model_dump() for use in answer.adapters])
    _print_table("Published pictures", [{"picture": s.path, "prompt": s.prompt} for s in answer.published])
    if not answer.adapters:
        out.print("It is in no adapter.")


@base_app.command("train")
def base_train(
    destination: Annotated[Path, typer.Option("--out", help="Where the model and its unfinished states go.")],
    minutes: Annotated[float, typer.Option(min=0.1, help="How long to train, painting the scenes apart.")] = 60.0,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="A folder of real paintings to learn from as well; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that --out holds.")] = False,
    part: Annotated[
        Literal["all", "decoder", "transformer"],
        typer.Option(help="Train one part only; the other stays as --out holds it."),
    ] = "all",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train.")] = "cpu",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the transformer on the CPU too; needs a C++ compiler.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Scenes, weights and noise follow from it.")] = 0,
) -> None:
    """Train a miniature FLUX from nothing: tokenizers, autoencoder, text encoders and transformer."""
    from artmaster_pipeline.base_models.miniature.train import train_base

    folder = train_base(
        destination,
        minutes=minutes,
        corpora=corpus or (),
        resume=resume,
        part=part,
        seed=seed,
        device=device,
        compiled=compiled,
        progress=_progress(),
    )
    out.print(escape(str(folder)))


@app.command()
def doctor(
    profile: Annotated[str | None, typer.Option(help="Ask for one profile only.")] = None, home: HomeOption = None
) -> None:
    """What this machine can run, and what is missing for the other profiles. Asks nothing of the network.

    With --profile, also what a training takes of the memory at its peak, part by part, and what brings it down.
    """
    from artmaster_pipeline.base_models import requirements
    from artmaster_pipeline.training.memory.forecast import forecast_lines, predict

    place = Home.find(home)
    ready = []
    for name in (profile,) if profile else profile_names(place):
        chosen, forecast, unknown = load_profile(name, place), None, ""
        try:
            forecast = predict(chosen)
        except ArtMasterError as error:  # of a base model that was never fetched
            unknown = str(error)
        found = requirements(chosen, place, forecast.total if forecast else None)
        rows = [{"needs": what, "": "ok" if ok else "missing", "way out": "" if ok else way} for what, ok, way in found]
        _print_table(f"Profile {name}", rows)
        ready += [name] if all(ok for _, ok, _ in found) else []
        if unknown:
            out.print(escape(unknown))
        if profile and forecast:
            parts, ways = forecast_lines(forecast)
            _print_table("Memory of a training at its peak", parts)
            _print_table("What brings it down", ways)
    out.print(f"Ready here: {', '.join(ready) or 'none'}.")
    if profile and not ready:
        raise typer.Exit(1)


@app.command()
def ui(port: Annotated[int, typer.Option(help="The port on localhost.")] = 3000, home: HomeOption = None) -> None:
    """The Dagster UI of a data home, on localhost, with the daemon that runs sensors and schedules."""
    from artmaster_pipeline.orchestration.instance import prepare_dagster_home

    place = Home.find(home)
    prepare_dagster_home(place)
    out.print(f"Dagster UI of {escape(str(place.root))}: http://127.0.0.1:{port}  (Ctrl+C ends it)")
    program = Path(sys.executable).with_name("dagster")
    command = [str(program), "dev", "-m", "artmaster_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)]
    os.execv(program, command)  # noqa: S606 - this process becomes the server


def main() -> None:
    """Run the command line; our own errors become one message and their exit code."""
    try:
        app(standalone_mode=True)
    except ArtMasterError as error:
        err.print(f"[bold red]artmaster:[/bold red] {escape(str(error))}")
        sys.exit(error.exit_code)


def _run_and_report(
    home: Home, painter: str, *, profile: str | None = None, until: Stage | None = None, only: Stage | None = None
) -> None:
    if profile:
        load_profile(profile, home)
    load_painter(home, painter)
    from artmaster_pipeline.orchestration.run import run_painter

    report = run_painter(home, painter, profile=profile, until=until, only=only)
    if not report.made and not report.refused:
        out.print(f"{painter}: everything is up to date, nothing was made.")
        return
    if report.made:
        out.print(f"{painter}: made {', '.join(report.made)}.")
    if report.current and not only:
        out.print(f"Already current: {', '.join(report.current)}.")
    _print_quarantine(home, painter)
    page = home.gallery(painter) / "index.html"
    if "evaluation_grid" in report.made and not report.refused:
        from artmaster_pipeline.evaluation import current_verdict

        out.print(f"Report: {escape(_short(current_verdict(home, painter)[1]))}")
    if "sample_gallery" in report.made:
        out.print(f"Gallery: {escape(str(page))}")
    if report.refused:
        verdict, where = report.refused
        _print_verdict(verdict)
        out.print(f"Report: {escape(_short(where))}")
        stays = f"The gallery of the adapter before stays: {page}" if page.exists() else "No gallery was published."
        out.print(escape(stays))
        out.print(f"To overrule: artmaster gate {painter} --adapter {verdict.adapter_id} --publish --reason TEXT")


def _publish_here(home: Home, painter: str) -> None:
    """As `run --only sample_gallery`, so that Dagster and DVC know; a person's word lifts a person's word."""
    from artmaster_pipeline.orchestration.run import run_painter
    from artmaster_pipeline.publishing.publish import allow_again

    allow_again(home, painter)
    run_painter(home, painter, only="sample_gallery")
    out.print(f"Gallery: {escape(str(home.gallery(painter) / 'index.html'))}")


def _put_back(home: Home, painter: str, version_id: str) -> None:
    from artmaster_pipeline import versioning
    from artmaster_pipeline.publishing.publish import put_back

    version = put_back(home, painter, version_id)
    if versioning.find_root(home):
        versioning.commit_stage(home, "sample_gallery", painter)
    out.print(f"{painter}: version {version.id} of {version.made} (adapter {version.adapter_id}) is in place again.")
    out.print(f"The stage does not undo this. To publish the current adapter's: artmaster publish {painter}")


@contextmanager
def _evaluation_versioned(home: Home, painter: str) -> Iterator[None]:
    """What is added to a painter's evaluations is committed where they were clean, so that nothing becomes stale."""
    from artmaster_pipeline import versioning

    clean = "evaluation_grid" not in versioning.stale_stages(home, painter)
    yield
    if clean:
        versioning.commit_stage(home, "evaluation_grid", painter)


def _print_verdict(verdict: "Verdict") -> None:
    said = "may be published" if verdict.publish else "not published"
    by = ", by a person's decision" if verdict.by == "person" else ""
    out.print(f"Adapter {verdict.adapter_id}: [bold]{said}[/bold]{by}.")
    for reason in verdict.reasons:
        out.print(f"  - {escape(printable(reason))}")


def _print_axes(title: str, axes: dict[str, Any], figure: str) -> None:
    from artmaster_pipeline.evaluation.axes.components import AXES

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        {
            "axis": axis,
            figure: shown(of[figure]),
            "95 % interval": " to ".join(shown(end) for end in of[f"{figure}_interval"]),
            "p": shown(of["p"]),
        }
        for axis, of in sorted(axes.items(), key=lambda row: AXES.index(row[0]))
    ]
    _print_table(title, rows)


def _strengths(text: str | None) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError as error:
        raise WrongUse(f"--strengths {text}: give numbers with commas between them, for example 0,0.5,1.") from error
    if any(not 0 <= strength <= 2 for strength in found):
        raise WrongUse(f"--strengths {text}: a strength is between 0 (the base model) and 2.")
    return found


def _print_quarantine(home: Home, painter: str) -> None:
    from artmaster_pipeline.records import QUARANTINE, Quarantined, read_manifest

    left_out = [
        entry
        for folder in (home.register(painter), home.crops(painter))
        for entry in read_manifest(folder / QUARANTINE, Quarantined)
    ]
    rows = [{"file": entry.path, "reason": entry.reason, "way out": entry.remedy} for entry in left_out]
    _print_table(f"Left out: {len(rows)} files", rows)


def _progress() -> Progress:
    if sys.stderr.isatty():
        return Progress(bar=True)
    return Progress(lambda message: print(message, file=sys.stderr, flush=True))  # noqa: T201


def _stage(name: str | None) -> Stage | None:
    for stage in STAGES:
        if name == stage:
            return stage
    if name is None:
        return None
    raise WrongUse(f"There is no stage {name!r}. The stages are: {', '.join(STAGES)}.")


def _size(text: str) -> tuple[int, int]:
    from artmaster_pipeline.settings import CROP_SIZES

    sizes = {f"{width}x{height}": (width, height) for width, height in CROP_SIZES}
    if text not in sizes:
        raise WrongUse(f"--size {text}: choose one of {', '.join(sizes)}.")
    return sizes[text]


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - stdout is the result


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    grid = Table(title=title, title_justify="left", header_style="bold")
    for column in rows[0]:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(printable(str(value))) for value in row.values()))
    out.print(grid)


def printable(text: str) -> str:
    """Text safe to show on a terminal: control characters and broken Unicode of file names are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
