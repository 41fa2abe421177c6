// One connection to the service for all tabs of a browser: a browser opens only six to one host.
// Tabs get {online, topics}; `topics` are the names of the tables that have changed.
"use strict";
const tabs = new Set();
const address = new URL("../../api/events", self.location.href);
const RETRY = 5000; // ms; after an answer that an EventSource does not retry by itself, like 401 after a restart
let online = true;

self.onconnect = (event) => {
  const tab = event.ports[0];
  tabs.add(tab);
  tab.onmessage = (message) => message.data === "bye" && tabs.delete(tab);
  tab.postMessage({ online, topics: [] });
};

function tell(topics) {
  for (const tab of tabs) tab.postMessage({ online, topics });
}

function listen() {
  const source = new EventSource(address);
  source.onmessage = (event) => {
    const isBack = !online;
    online = true;
    tell(isBack ? ["*"] : JSON.parse(event.data));
  };
  source.onerror = () => {
    online = false;
    tell([]);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY);
  };
}

listen();
