// The first visit: the time zone of this browser is the best guess.
"use strict";

const field = document.getElementById("timezone");
const known = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (field && known && !document.querySelector(".note.bad")) field.value = known; // what was typed before stays
