// Shows openapi.json. Builds everything from text nodes, keeps the API key in its input only, and
// asks nobody but the server it came from.
"use strict";

const METHODS = ["get", "post", "put", "delete"];
const BASE = new URL(".", location.href).href;
const MOST = 200000; // characters of an answer that are shown
let doc;

/** An element: attributes are set, "on…" are listeners, children are nodes or text. */
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) e.setAttribute(name, value);
  }
  e.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== ""));
  return e;
}

function resolve(value) {
  while (value && value.$ref)
    value = value.$ref.slice(2).split("/").reduce((at, part) => at[part.replace(/~1/g, "/").replace(/~0/g, "~")], doc);
  return value;
}

/** `code`, **strong** and paragraphs. */
function prose(text) {
  return (text || "").split(/\n\n+/).filter(Boolean).map((paragraph) => make("p", null, inline(paragraph)));
}

function inline(text) {
  return (text || "").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) =>
    part.startsWith("`") ? make("code", null, part.slice(1, -1))
      : part.startsWith("**") ? make("strong", null, part.slice(2, -2)) : part);
}

// ---- schemas ----

/** What a schema is, in a few words. */
function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return "anything";
  if (schema.$ref) {
    const target = resolve(schema);
    return target.type === "object" ? schema.$ref.split("/").pop() : typeOf(target);
  }
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const types = [].concat(schema.type || "anything");
  const words = types.map((t) => (t === "array" ? "array of " + typeOf(schema.items) : t));
  if (schema.enum) return schema.enum.map((v) => (typeof v === "string" ? v : JSON.stringify(v))).join(" | ");
  return words.join(" or ") + limits(schema);
}

function limits(s) {
  const said = [];
  if (s.format) said.push(s.format);
  if (s.minimum !== undefined && s.maximum !== undefined) said.push(`${s.minimum} to ${s.maximum}`);
  else if (s.minimum !== undefined && s.minimum !== 0) said.push(`at least ${s.minimum}`);
  if (s.maxLength) said.push(`at most ${s.maxLength} characters`);
  if (s.maxItems) said.push(`at most ${s.maxItems}`);
  if (s.default !== undefined) said.push(`default ${s.default}`);
  return said.length ? ` (${said.join(", ")})` : "";
}

/** The object schema inside a schema: of a reference, of an array's items, of "X or null". */
function inner(schema) {
  schema = resolve(schema);
  if (!schema) return null;
  if (schema.anyOf) return schema.anyOf.map(inner).find(Boolean) || null;
  if (schema.items) return inner(schema.items);
  return schema.properties ? schema : null;
}

function describe(schema) {
  return schema.description || (schema.$ref ? resolve(schema).description : "");
}

function members(schema, depth) {
  const object = inner(schema);
  if (!object) return null;
  return make("ul", { class: "schema" }, Object.entries(object.properties).map(([name, member]) => {
    const required = (object.required || []).includes(name);
    const head = [make("code", null, name), " ", make("span", { class: "type" }, typeOf(member)),
      required ? null : make("span", { class: "type optional" }, " optional")];
    const about = describe(member) ? [" – ", inline(describe(member))] : null;
    if (!inner(member)) return make("li", null, head, about);
    return make("li", null, lazy("details", { open: depth < 1 }, [head, about], () => members(member, depth + 1)));
  }));
}

function schemaView(schema) {
  return [make("p", { class: "type" }, typeOf(schema)), members(schema, 0)];
}

/** A <details> that is filled when it is opened first. */
function lazy(tag, attributes, summary, fill) {
  const { open, ...rest } = attributes;
  const e = make(tag, rest, make("summary", null, summary));
  const once = () => { if (e.open) { e.removeEventListener("toggle", once); e.append(...[fill()].flat(9).filter(Boolean)); } };
  e.addEventListener("toggle", once);
  e.open = Boolean(open);
  return e;
}

function example(media) {
  const schema = resolve(media.schema) || {};
  if (media.example !== undefined) return media.example;
  if (schema.examples) return schema.examples[0];
  if (schema.type === "array") {
    const one = example({ schema: schema.items });
    return one === undefined ? undefined : [one];
  }
  return undefined;
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function copyable(read, label) {
  const pre = make("pre", { tabindex: 0, "aria-label": label }, read());
  const button = make("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(read());
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  } }, "copy");
  return make("div", { class: "copy" }, pre, navigator.clipboard ? button : null);
}

// ---- operations ----

function parametersOf(op) {
  return (op.parameters || []).map(resolve);
}

function sample(p) {
  return String(p.example ?? resolve(p.schema).default ?? (resolve(p.schema).enum || ["1"])[0]);
}

function target(op, values) {
  const query = new URLSearchParams();
  let path = op.path;
  for (const p of parametersOf(op)) {
    const value = values(p);
    if (p.in === "path") {
      const coded = encodeURIComponent(value);
      path = path.replace(`{${p.name}}`, p["x-segments"] ? coded.replace(/%2F/g, "/") : coded);
    } else if (p.in === "query" && value !== "") query.set(p.name, value);
  }
  const coded = query.toString();
  return BASE + path.slice(1) + (coded ? "?" + coded : "");
}

function shell(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`;
}

function curl(op) {
  const words = ["curl"];
  if (op.method !== "get") words.push("-X", op.method.toUpperCase());
  if (op["x-role"] !== "none") words.push("-H", '"Authorization: Bearer $AUTOS_KEY"');
  if (op.responses["200"] && resolve(op.responses["200"]).content?.["text/event-stream"]) words.push("-N");
  const media = op.requestBody?.content["application/json"];
  if (media) words.push("-H", "'Content-Type: application/json'", "-d", shell(JSON.stringify(example(media) ?? {})));
  words.push(shell(target(op, (p) => (p.in === "path" || p.required ? sample(p) : ""))));
  return words.join(" ");
}

function parameterTable(op) {
  const rows = parametersOf(op);
  if (!rows.length) return null;
  return [make("h3", null, "Parameters"), make("table", null,
    make("thead", null, make("tr", null, ["name", "in", "value", ""].map((t) => make("th", { scope: "col" }, t)))),
    make("tbody", null, rows.map((p) => make("tr", null,
      make("th", { scope: "row" }, make("code", null, p.name)), make("td", null, p.in),
      make("td", { class: "type" }, typeOf(p.schema)),
      make("td", null, inline(p.description), p.required && p.in !== "path" ? " Required." : "")))))];
}

function bodyView(op) {
  const media = op.requestBody?.content["application/json"];
  if (!media) return null;
  const value = example(media);
  return [make("h3", null, op.requestBody.required ? "Body" : "Body, may be absent"), schemaView(media.schema),
    value === undefined ? null : copyable(() => text(value), "Example of a body")];
}

function responseView(status, response, open) {
  const kind = status < "300" ? "ok" : status < "400" ? "other" : "bad";
  const [type, media] = Object.entries(response.content || {})[0] || [];
  return lazy("details", { class: "response", open }, [make("code", { class: kind }, status), " ", inline(response.description)], () => {
    const value = media && example(media);
    return make("div", null, type ? make("p", { class: "type" }, type) : null,
      media?.schema && type.endsWith("json") ? members(media.schema, 0) : null,
      value === undefined ? null : copyable(() => text(value), `Example of ${status}`),
      make("p", { class: "note" }, "Headers: ", Object.keys(response.headers || {}).join(", ")));
  });
}

function eventsView(op) {
  if (!op["x-events"]) return null;
  return [make("h3", null, "Events"), Object.entries(op["x-events"]).map(([name, schema]) =>
    lazy("details", { class: "response" }, [make("code", null, name), " ", inline(describe(schema))], () => make("div", null, members(schema, 0))))];
}

// ---- trying ----

function field(op, p) {
  const schema = resolve(p.schema), id = `${op.operationId}-${p.name}`;
  const options = schema.enum || ([].concat(schema.type).includes("boolean") ? [true, false] : null);
  const input = options && p.in !== "path"
    ? make("select", { id, name: p.name }, make("option", { value: "" }, ""), options.map((o) => make("option", null, String(o))))
    : make("input", { id, name: p.name, value: p.in === "path" ? sample(p) : null, required: p.required, spellcheck: "false", autocomplete: "off" });
  return make("tr", null, make("th", { scope: "row" }, make("label", { for: id }, p.name)), make("td", null, input));
}

async function send(op, form, out, signal) {
  const headers = {}, key = document.getElementById("key").value.trim();
  if (key && op["x-role"] !== "none") headers.Authorization = "Bearer " + key;
  for (const p of parametersOf(op)) if (p.in === "header" && form.elements[p.name].value) headers[p.name] = form.elements[p.name].value;
  const url = target(op, (p) => form.elements[p.name].value), began = performance.now();
  const answer = await fetch(url, { headers, signal, redirect: "manual", cache: "no-store", credentials: "omit" });
  const head = answer.type === "opaqueredirect" ? "a redirect: the link to the document"
    : `${answer.status} ${answer.statusText}, ${Math.round(performance.now() - began)} ms`;
  const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const type = answer.headers.get("Content-Type") || "";
  const body = make("pre", { tabindex: 0, "aria-label": "Body of the answer" });
  out.replaceChildren(make("p", null, make("strong", { class: answer.ok ? "ok" : "bad" }, head)),
    lines ? make("details", null, make("summary", null, "Headers"), make("pre", null, lines)) : "", body);
  if (type.startsWith("text/event-stream")) return follow(answer, body);
  if (!/^text\/|json/.test(type)) return body.append(`${type || "no body"}, ${(await answer.arrayBuffer()).byteLength} bytes`);
  const said = await answer.text();
  let shown = said;
  try { if (type.includes("json")) shown = JSON.stringify(JSON.parse(said), null, 2); } catch { /* shown as it came */ }
  body.append(shown.length > MOST ? shown.slice(0, MOST) + `\n… ${shown.length - MOST} more characters` : shown);
}

async function follow(answer, pre) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pre.append(value);
    pre.scrollTop = pre.scrollHeight;
  }
}

function tryView(op) {
  if (op.method !== "get") return null;
  const out = make("div", { "aria-live": "polite" });
  const stop = make("button", { type: "button", hidden: true }, "stop");
  const form = make("form", { onsubmit: async (event) => {
    event.preventDefault();
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    stop.hidden = false;
    try { await send(op, form, out, controller.signal); } catch (e) { out.append(make("p", { class: "bad" }, String(e.message || e))); }
    stop.hidden = true;
  } }, make("table", null, make("tbody", null, parametersOf(op).map((p) => field(op, p)))),
  make("p", null, make("button", { type: "submit" }, "send"), stop), out);
  return [make("h3", null, "Try it"), form];
}

// ---- the page ----

function operationView(op) {
  const path = op.path.split(/(\{[^}]+\})/).map((part) => (part.startsWith("{") ? make("i", null, part) : part));
  const summary = [make("span", { class: `method ${op.method}` }, op.method.toUpperCase()), make("span", { class: "path" }, path),
    make("span", { class: "summary" }, op.summary), make("span", { class: "role" }, op["x-role"] === "none" ? "no key" : op["x-role"])];
  return lazy("details", { class: "operation", id: op.operationId }, summary, () => make("div", null,
    prose(op.description), copyable(() => curl(op), "curl line"), parameterTable(op), bodyView(op), make("h3", null, "Answers"),
    Object.entries(op.responses).map(([status, r], i) => responseView(status, resolve(r), i === 0)), eventsView(op), tryView(op)));
}

function problemsView() {
  return make("section", { id: "problems" }, make("h2", null, "Problems"), make("p", null, "What `type` of an error ends in.".replace(/`/g, "")),
    make("table", null, make("tbody", null, doc["x-problem-types"].map((p) => make("tr", { id: `problem-${p.name}` },
      make("td", null, make("code", { class: "bad" }, String(p.status))), make("th", { scope: "row" }, make("code", null, p.name)), make("td", null, p.title))))));
}

function show(operations) {
  const nav = document.getElementById("nav"), main = document.getElementById("main");
  document.getElementById("version").textContent = doc.info.version;
  main.append(make("div", { id: "about" }, prose(doc.info.description)));
  for (const tag of doc.tags) {
    const mine = operations.filter((op) => op.tags.includes(tag.name));
    main.append(make("section", { "aria-label": tag.name }, make("h2", null, tag.name), make("p", null, tag.description), mine.map((op) => (op.view = operationView(op)))));
    nav.append(make("div", null, make("strong", null, tag.name), mine.map((op) => (op.link = make("a", { href: "#" + op.operationId, title: op.path },
      make("span", { class: `method ${op.method}` }, op.method.toUpperCase()), op.operationId)))));
  }
  main.append(problemsView());
}

function filter(operations, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const op of operations) {
    const all = [op.method, op.path, op.operationId, op.summary, op["x-role"], ...op.tags].join(" ").toLowerCase();
    const match = wanted.every((word) => all.includes(word));
    op.view.hidden = op.link.hidden = !match;
    n += match;
  }
  for (const section of document.querySelectorAll("main > section[aria-label], nav > div")) section.hidden = !section.querySelector(".operation:not([hidden]), a:not([hidden])");
  document.getElementById("about").hidden = document.getElementById("problems").hidden = wanted.length > 0;
  document.getElementById("count").textContent = wanted.length ? `${n} of ${operations.length}` : "";
}

/** An address such as /docs#get_status opens its route. */
function openNamed() {
  const e = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!e) return;
  if (e.tagName === "DETAILS") e.open = true;
  e.scrollIntoView();
  e.querySelector("summary")?.focus({ preventScroll: true });
}

async function start() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  doc = await answer.json();
  const operations = Object.entries(doc.paths).flatMap(([path, item]) =>
    METHODS.filter((m) => item[m]).map((method) => ({ ...item[method], path, method })));
  show(operations);
  const box = document.getElementById("filter");
  box.addEventListener("input", () => filter(operations, box.value));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) { event.preventDefault(); box.focus(); }
    if (event.key === "Escape" && event.target === box) { box.value = ""; filter(operations, ""); }
  });
  addEventListener("hashchange", openNamed);
  openNamed();
}

start().catch((e) => {
  const p = document.getElementById("trouble");
  p.textContent = `The description cannot be shown: ${e.message}`;
  p.hidden = false;
});
