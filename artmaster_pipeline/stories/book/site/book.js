// Which of the two languages is shown: the reader's choice for this page. Without this script both are.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const group = document.querySelector("[data-text-switch]");
  if (!group) return;
  const buttons = [...group.querySelectorAll("button")];
  group.hidden = false;
  group.addEventListener("click", (event) => {
    const chosen = event.target.dataset.text;
    if (!chosen) return;
    document.documentElement.dataset.text = chosen;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.text === chosen));
  });
});
