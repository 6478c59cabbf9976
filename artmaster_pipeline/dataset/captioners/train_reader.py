"""Trains the embedded reader's heads, on two cores in some minutes:

    python -m artmaster_pipeline.dataset.captioners.train_reader

Scenes of all styles and subjects are painted, every other one given back by the miniature's autoencoder and softened,
as what it draws is, all disturbed as scans are (tint, fading, contrast, grain, framing), and passed through VGG16.
Multinomial logistic regressions are fitted to what was painted. A sixth of the scenes is kept aside: their accuracy
goes into the card beside the weights, `reader.md`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from artmaster_pipeline.dataset.captioners.reader import ASKED, WEIGHTS, features_of, words_of
from artmaster_pipeline.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np

_SCENES, _KEPT_ASIDE = 2600, 400
_FIRST_SEED = 900_000_000  # none that the base was trained on, nor the demo's
_AXES = 32  # principal axes of the features
_FAMILIAR = 90  # percent of unseen scenes that count as familiar
_DECAY = 3e-3


def train_reader(target: Path = WEIGHTS, scenes: int = _SCENES, progress: Progress = SILENT) -> dict[str, float]:
    """Paint, learn and write the heads; gives by kind the share of unseen scenes that is read rightly."""
    import numpy as np
    from safetensors.numpy import save_file

    from artmaster_pipeline.base_models.vgg import load_vgg
    from artmaster_pipeline.sessions import session

    pictures, said = _paint(scenes, progress)
    with session():
        features = features_of(load_vgg(), pictures)
    learnt = slice(0, -min(_KEPT_ASIDE, scenes // 6))
    aside = slice(learnt.stop, None)
    mean, spread = features[learnt].mean(0), features[learnt].std(0) + 1e-6
    scaled = (features - mean) / spread
    arrays = {"mean": mean, "spread": spread}
    shares = {}
    for name in ASKED:
        truth = np.array([words_of(name).index(word) for word in said[name]])
        weight, bias = _fitted(scaled[learnt], truth[learnt], len(words_of(name)))
        arrays |= {f"{name}.weight": weight, f"{name}.bias": bias}
        shares[name] = float(((scaled[aside] @ weight + bias).argmax(1) == truth[aside]).mean())
    axes = np.linalg.svd(scaled[learnt], full_matrices=False)[2][:_AXES]
    left = np.linalg.norm(scaled[aside] - (scaled[aside] @ axes.T) @ axes, axis=1) / np.sqrt(scaled.shape[1])
    arrays |= {"axes": axes, "familiar": np.array([np.percentile(left, _FAMILIAR)])}
    save_file({name: np.ascontiguousarray(array, dtype="float16") for name, array in arrays.items()}, target)
    return shares


def _paint(count: int, progress: Progress) -> "tuple[np.ndarray, dict[str, list[str]]]":
    import numpy as np
    from PIL import Image

    from artmaster_pipeline.sample_painters import FURTHER_SUBJECTS, STYLES, SUBJECTS, imagine, paint

    pictures: list[np.ndarray] = []
    said: dict[str, list[str]] = {name: [] for name in ASKED}
    with progress.task("Painting scenes", count) as advance:
        for number in range(count):
            seed = _FIRST_SEED + number
            scene = imagine(seed, STYLES[number % len(STYLES)], (*SUBJECTS, *FURTHER_SUBJECTS))
            small = Image.fromarray(paint(scene, seed, 256, 256)).resize((128, 128), Image.Resampling.LANCZOS)
            pictures.append(_disturbed(np.asarray(small), np.random.default_rng(seed)))
            for name in ASKED:
                said[name].append(getattr(scene, name))
            advance()
    return _as_drawn(np.stack(pictures), progress), said


def _as_drawn(pictures: "np.ndarray", progress: Progress) -> "np.ndarray":
    """Every other picture as the miniature's autoencoder gives it back, softened a little, as generated ones are."""
    import numpy as np
    import torch
    from PIL import Image, ImageFilter

    from artmaster_pipeline.base_models import load_pipeline
    from artmaster_pipeline.settings import load_profile

    vae, found = load_pipeline(load_profile("miniature")).vae, pictures.copy()
    with progress.task("Through the autoencoder", len(pictures) // 2) as advance, torch.inference_mode():
        for number in range(1, len(pictures), 2):
            pixels = torch.tensor(pictures[number]).permute(2, 0, 1)[None].float() / 127.5 - 1
            back = vae.decode(vae.encode(pixels).latent_dist.mode()).sample[0].permute(1, 2, 0)
            image = Image.fromarray(((back.clamp(-1, 1) + 1) * 127.5).round().byte().numpy())
            radius = np.random.default_rng(_FIRST_SEED + number).uniform(0, 1.5)
            found[number] = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))
            advance()
    return found


def _disturbed(picture: "np.ndarray", dice: "np.random.Generator") -> "np.ndarray":
    """Tinted, faded, darker or lighter, grainy, framed a little otherwise."""
    import numpy as np
    from PIL import Image

    x = picture.astype("float32")
    if dice.random() < 0.5:
        grey, share = x.mean(2, keepdims=True), dice.uniform(0.0, 0.6)
        x = (x * (1 - share) + grey * share) * dice.uniform([0.85, 0.8, 0.7], [1, 1, 1])
    x = (x - 128) * dice.uniform(0.6, 1.3) + 128 + dice.uniform(-25, 25)
    grainy = np.clip(x + dice.normal(0, dice.uniform(0, 6), x.shape), 0, 255).astype(np.uint8)
    side = int(dice.integers(len(picture) * 7 // 8, len(picture) + 1))
    top, left = dice.integers(0, len(picture) - side + 1, 2)
    framed = Image.fromarray(grainy[top : top + side, left : left + side])
    return np.asarray(framed.resize((len(picture), len(picture))))


def _fitted(rows: "np.ndarray", truth: "np.ndarray", classes: int) -> "tuple[np.ndarray, np.ndarray]":
    """Weights and biases of a multinomial logistic regression with weight decay."""
    import torch

    x, y = torch.tensor(rows, dtype=torch.float32), torch.tensor(truth)
    weight, bias = torch.zeros(x.shape[1], classes, requires_grad=True), torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        error = torch.nn.functional.cross_entropy(x @ weight + bias, y) + _DECAY * weight.square().sum() / 2
        error.backward()
        return error

    optimizer.step(loss)
    return weight.detach().numpy(), bias.detach().numpy()


if __name__ == "__main__":
    from artmaster_pipeline.progress import terminal_progress
    from artmaster_pipeline.terminal import out

    for kind, share in train_reader(progress=terminal_progress()).items():
        out.say(f"{kind}: {share:.3f} of unseen scenes")
