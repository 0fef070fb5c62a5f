"use strict";

const base = "/sandbox/v1";
const byId = (id) => document.getElementById(id);
let token = "";
let lastMessage = 0;
let lastEntry = 0;

async function ask(path, options = {}) {
  const answer = await fetch(base + path, {
    ...options,
    headers: { authorization: "Bearer " + token, ...options.headers },
  });
  if (!answer.ok && answer.status !== 504) {
    throw new Error(answer.status === 401 ? "The token was refused." : "Status " + answer.status);
  }
  return answer;
}

function cell(row, content) {
  const td = document.createElement("td");
  if (content instanceof Node) td.append(content);
  else td.textContent = content ?? "";
  row.append(td);
  return td;
}

const clock = (at) => at.replace("T", " ").replace(/\.\d+Z$/, "Z");

function addMessage(message) {
  const row = document.createElement("tr");
  const open = document.createElement("button");
  open.type = "button";
  open.textContent = message.id;
  cell(row, open);
  cell(row, clock(message.arrived));
  cell(row, message.mailbox);
  cell(row, message.recipients.map((r) => r.address).join(", "));
  cell(row, message.subject);
  cell(row, message.octets);
  row.addEventListener("click", () => show(message).catch(complain));
  byId("messages").prepend(row);
}

async function show(message) {
  const raw = await (await ask(`/messages/${message.id}/raw`)).text();
  byId("message-title").textContent = `Message ${message.id}`;
  byId("message-facts").textContent = JSON.stringify(message, null, 2);
  byId("message-raw").textContent = raw;
  byId("message").hidden = false;
  byId("message").scrollIntoView();
}

function addEntry(entry) {
  const row = document.createElement("tr");
  cell(row, clock(entry.at));
  cell(row, entry.channel + (entry.connection ? " " + entry.connection : ""));
  cell(row, entry.asked);
  const answered = cell(row, entry.answered);
  if (/^[45]/.test(entry.answered)) answered.className = "refused";
  cell(row, (entry.cause ?? "") + (entry.fault ? ` (fault ${entry.fault})` : ""));
  const entries = byId("entries");
  entries.prepend(row);
  while (entries.rows.length > 500) entries.lastChild.remove();
}

function showTenant(tenant) {
  const open = new Set();
  for (const part of byId("tenant-parts").querySelectorAll("details[open]")) open.add(part.dataset.name);
  byId("tenant-parts").replaceChildren(...Object.entries(tenant).map(([name, value]) => {
    const details = document.createElement("details");
    details.dataset.name = name;
    details.open = open.has(name);
    const summary = document.createElement("summary");
    const plain = value === null || typeof value !== "object";
    const size = plain ? JSON.stringify(value) : Object.keys(value).length;
    summary.textContent = `${name}: ${size}`;
    const pre = document.createElement("pre");
    pre.textContent = JSON.stringify(value, null, 2);
    details.append(summary, pre);
    return details;
  }));
}

async function refreshMail() {
  const { messages } = await (await ask(`/messages?since=${lastMessage}`)).json();
  for (const message of messages) {
    addMessage(message);
    lastMessage = message.id;
  }
  byId("no-mail").hidden = byId("messages").rows.length > 0;
}

async function refreshRest() {
  const { entries } = await (await ask(`/journal?since=${lastEntry}`)).json();
  for (const entry of entries) {
    addEntry(entry);
    lastEntry = entry.id;
  }
  const tenant = await (await ask("/tenant")).json();
  const time = await (await ask("/clock")).json();
  byId("about").textContent = `${tenant.display_name}, ${tenant.domain}, tenant ${tenant.id}. `
    + `Sandbox time ${clock(time.now)}`
    + (time.settled_at ? `; changes act fully from ${clock(time.settled_at)}.` : ".");
  showTenant(tenant);
}

function complain(error) {
  byId("about").textContent = String(error.message ?? error);
}

async function live() {
  await refreshMail();
  await refreshRest();
  byId("door").hidden = true;
  byId("rooms").hidden = false;
  for (;;) {
    try {
      await ask(`/messages/wait?since=${lastMessage}&timeout_s=3`);
      await refreshMail();
      await refreshRest();
    } catch (error) {
      complain(error);
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  live().catch(complain);
});

byId("clear").addEventListener("click", () => {
  ask("/messages", { method: "DELETE" })
    .then(() => {
      byId("messages").replaceChildren();
      byId("message").hidden = true;
      return refreshMail();
    })
    .catch(complain);
});

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  token = given;
  history.replaceState(null, "", location.pathname);
  live().catch(complain);
}
