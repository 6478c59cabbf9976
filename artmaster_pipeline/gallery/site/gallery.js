// The lightbox: links to pictures open in a dialog. Without this script they are plain links.
"use strict";

(() => {
  const dialog = document.getElementById("lightbox");
  const image = dialog.querySelector("img");
  const caption = document.getElementById("lightbox-caption");
  const place = dialog.querySelector(".place");
  let group = [];
  let current = 0;

  function show(index) {
    current = (index + group.length) % group.length;
    const link = group[current];
    const alt = link.querySelector("img").alt;
    image.src = link.href;
    image.alt = alt;
    caption.textContent = alt;
    place.textContent = `${current + 1} of ${group.length}`;
  }

  for (const link of document.querySelectorAll("[data-lightbox]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      group = [...link.closest("section").querySelectorAll("[data-lightbox]")];
      show(group.indexOf(link));
      dialog.showModal();
    });
  }

  dialog.addEventListener("click", (event) => {
    const step = event.target.dataset.step;
    if (step) show(current + Number(step));
    if ("close" in event.target.dataset || event.target === dialog) dialog.close();
  });

  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });

  dialog.addEventListener("close", () => {
    image.removeAttribute("src");
    const link = group[current];
    if (link) link.focus();
  });
})();
