// One connection to the service for all tabs of a browser: a browser opens only six to one host.
// Tabs get {online, count, topics}: the names of the tables that have changed, and which change that was.
"use strict";
const tabs = new Set();
const address = new URL("../../api/events", self.location.href);
const RETRY = 5000; // ms; after an answer that an EventSource does not retry by itself, like 401 after a restart
let online = true;
let count = null; // of the last change that was heard of

self.onconnect = (event) => {
  const tab = event.ports[0];
  tabs.add(tab);
  tab.onmessage = (message) => message.data === "bye" && tabs.delete(tab);
  tab.postMessage({ online, count, topics: [] });
};

function tell(topics) {
  for (const tab of tabs) tab.postMessage({ online, count, topics });
}

function listen() {
  const source = new EventSource(address);
  source.onmessage = (event) => {
    const told = JSON.parse(event.data);
    online = true;
    count = told.count;
    tell(told.topics);
  };
  source.onerror = () => {
    online = false;
    tell([]);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY);
  };
}

listen();
