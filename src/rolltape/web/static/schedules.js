// The form of a schedule: what is typed last is what counts. What follows from it, the service works out.
"use strict";

function count(part) {
  const radio = part.querySelector("input[name=way]");
  if (radio) radio.checked = true;
}

// Before htmx hears of it and sends the form.
document.addEventListener(
  "input",
  (event) => {
    const part = event.target.closest?.("[data-way]");
    if (part) count(part);
  },
  { capture: true },
);

// Every day, Monday to Friday, weekend.
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-days]");
  if (!button) return;
  const days = button.dataset.days.split(" ");
  const boxes = button.form.querySelectorAll("input[name='days[]']");
  for (const box of boxes) box.checked = days.includes(box.value);
  boxes[0].dispatchEvent(new Event("input", { bubbles: true }));
});
