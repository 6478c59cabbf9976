// The sliders, and the viewer. Without this script pictures are plain links and sliders show what lies on top.
"use strict";

for (const slider of document.querySelectorAll("[data-slider]")) {
  const range = slider.querySelector("input");
  const show = () => {
    slider.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.dataset.left} ${range.value} %, ${range.dataset.right} ${100 - range.value} %`);
  };
  slider.classList.add("live");
  range.hidden = false;
  range.addEventListener("input", show);
  show();
}

(() => {
  const dialog = document.getElementById("viewer");
  const stage = dialog.querySelector(".stage");
  const caption = document.getElementById("viewer-caption");
  const choices = dialog.querySelector(".layers");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let pieces = [];
  let current = 0;
  let opener = null;
  let viewer = null;
  let script = null;

  function load() {
    script ??= new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = dialog.dataset.script;
      element.onload = resolve;
      element.onerror = reject;
      document.head.append(element);
    });
    return script;
  }

  const layersOf = (piece) => JSON.parse(piece.dataset.piece);

  function take(layer) {
    return new Promise((resolve, reject) => {
      viewer.addTiledImage({
        tileSource: layer.source,
        width: 1,
        success: ({ item }) => resolve(item),
        error: () => reject(new Error(layer.url)),
      });
    });
  }

  // Layers lie over one another at one width, so a place stays in view when another is chosen.
  async function choose(layers, index, items) {
    for (const [place, button] of [...choices.children].entries()) button.setAttribute("aria-pressed", String(place === index));
    caption.textContent = layers[index].alt;
    const mine = viewer;
    try {
      items[index] ??= take(layers[index]);
      const shown = await items[index];
      if (mine !== viewer) return;
      for (const item of await Promise.all(Object.values(items))) item.setOpacity(item === shown ? 1 : 0);
    } catch {
      if (mine === viewer) plainly(layers[index]);
    }
  }

  // What is left when the viewer cannot be: the picture itself.
  function plainly(layer) {
    end();
    const image = new Image();
    image.src = layer.url;
    image.alt = layer.alt;
    image.onerror = () => (caption.textContent = dialog.dataset.failed);
    stage.replaceChildren(image);
    caption.textContent = layer.alt;
  }

  function end() {
    viewer?.destroy();
    viewer = null;
    stage.replaceChildren();
  }

  async function show(piece, start) {
    const layers = layersOf(pieces[piece]);
    end();
    current = piece;
    dialog.querySelector(".place").textContent = dialog.dataset.place.replace("{at}", piece + 1).replace("{all}", pieces.length);
    caption.textContent = layers[start].alt;
    choices.replaceChildren();
    try {
      await load();
    } catch {
      plainly(layers[start]);
      return;
    }
    if (current !== piece || !dialog.open) return;
    viewer = window.OpenSeadragon({
      element: stage,
      drawer: "canvas", // WebGL may not read pictures of pages that lie on a disk
      showNavigationControl: false,
      animationTime: still.matches ? 0 : 0.6,
      maxZoomPixelRatio: 4,
      visibilityRatio: 0.6,
      gestureSettingsTouch: { pinchRotate: false },
    });
    viewer.addHandler("canvas-key", (event) => {
      if (["KeyR", "KeyF", "KeyJ", "KeyK"].includes(event.originalEvent.code)) event.preventDefaultAction = true; // neither turned nor mirrored
    });
    viewer.canvas.setAttribute("role", "application");
    viewer.canvas.setAttribute("aria-label", dialog.dataset.help);
    const items = {};
    if (layers.length > 1) {
      choices.append(...layers.map((layer, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = layer.label;
        button.addEventListener("click", () => choose(layers, index, items));
        return button;
      }));
    }
    await choose(layers, start, items);
  }

  const step = (by) => show((current + by + pieces.length) % pieces.length, Math.max(0, chosen()));
  const chosen = () => [...choices.children].findIndex((button) => button.getAttribute("aria-pressed") === "true");

  const actions = {
    "zoom-in": () => viewer?.viewport.zoomBy(1.6).applyConstraints(),
    "zoom-out": () => viewer?.viewport.zoomBy(1 / 1.6).applyConstraints(),
    whole: () => viewer?.viewport.goHome(),
    previous: () => step(-1),
    next: () => step(1),
    close: () => dialog.close(),
  };

  for (const link of document.querySelectorAll("[data-open]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      opener = link;
      pieces = [...link.closest("section").querySelectorAll("[data-piece]")];
      dialog.showModal();
      dialog.querySelector("[data-do=close]").focus(); // by `autofocus` a page would try it while it loads, too
      show(pieces.indexOf(link.closest("[data-piece]")), Number(link.dataset.open));
    });
  }

  dialog.addEventListener("click", (event) => actions[event.target.dataset.do]?.());

  dialog.addEventListener("keydown", (event) => {
    if (stage.contains(event.target)) return; // there the arrows move the picture
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });

  dialog.addEventListener("close", () => {
    end();
    opener?.focus();
  });
})();
