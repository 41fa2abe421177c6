// Light or dark, before anything is painted: what the reader chose here, else what the system says.
"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  const chosen = localStorage.getItem("rolltape-theme");
  document.documentElement.dataset.bsTheme = chosen || (dark.matches ? "dark" : "light");
}

dark.addEventListener("change", applyTheme);
applyTheme();
