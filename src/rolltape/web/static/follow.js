// The log is followed: while the box is ticked and the tab is in front, its lines are fetched again and again.
"use strict";

const BETWEEN = 2000; // ms
const box = document.getElementById("follow");
const remembered = "rolltape-follow";

if (box) {
  box.checked = sessionStorage.getItem(remembered) === "on";
  box.addEventListener("change", () => sessionStorage.setItem(remembered, box.checked ? "on" : "off"));
  setInterval(() => {
    if (!box.checked || document.hidden) return;
    wanted.add(box.dataset.follow); // the topic of the lines, which app.js knows how to fetch
    update();
  }, BETWEEN);
}
