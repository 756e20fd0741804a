// Shows openapi.json, and sends what is filled in. No library: a description is a list of forms.

const SHOWN = 20_000; // characters of an answer
const made = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const description = await (await fetch("openapi.json")).json();
const resolved = (node) => (node?.$ref ? node.$ref.slice(2).split("/").reduce((at, key) => at[key], description) : node);
document.getElementById("about").textContent = `${description.info.description}\n\nVersion ${description.info.version}`;
document.getElementById("operations").replaceChildren(...description.tags.flatMap(section));

function section({ name, description: about }) {
  const heading = made("h2", {}, `${name} `, made("small", { textContent: about }));
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(name))
      .map(([method, operation]) => card(method, path, operation)),
  );
  return [heading, ...operations];
}

function card(method, path, operation) {
  const summary = made("summary", {},
    made("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
    made("code", { textContent: path }),
    made("span", { className: "faint", textContent: operation.summary }));
  const details = made("details", {}, summary);
  details.addEventListener("toggle", () => details.open && details.children.length < 2 && details.append(form(method, path, operation)), { once: true });
  return details;
}

function form(method, path, operation) {
  const fields = operation.parameters.map((parameter) => ({ parameter, input: field(parameter) }));
  const body = operation.requestBody && bodyFields(operation.requestBody.content);
  const output = made("output");
  const found = made("form", {},
    ...fields.map(({ parameter, input }) => labelled(parameter.name, parameter.description, input)),
    ...(body?.labels ?? []),
    ...schemas(operation),
    made("button", { textContent: "Send" }),
    output);
  found.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, fields, body, output);
  });
  return found;
}

function field({ schema, required = false }) {
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (choices) return made("select", { required }, ...["", ...choices].map((value) => made("option", { value, textContent: value })));
  const number = schema.type === "integer" || schema.type === "number";
  return made("input", { required, type: number ? "number" : "text", step: "any", value: required ? (schema.examples?.[0] ?? "") : "", placeholder: schema.examples?.join(", ") ?? "" });
}

function bodyFields(content) {
  const text = content["application/json"] && made("textarea", { spellcheck: false, value: JSON.stringify(example(content["application/json"].schema), null, 2) });
  const file = made("input", { type: "file", accept: Object.keys(content).filter((type) => type.startsWith("image/")).join() });
  const labels = [];
  if (text) labels.push(labelled("body", "application/json", text));
  if (!text || content["application/octet-stream"]) labels.push(labelled("file", text ? "sent as it is, instead of JSON" : "sent as it is", file));
  return { labels, value: () => file.files[0] ?? text?.value };
}

// The smallest value that a schema describes.
function example(schema, depth = 0) {
  const known = resolved(schema);
  if (known.enum) return known.enum.at(known.enum[0] === "" ? 1 : 0);
  if (known.anyOf) return example(known.anyOf[0], depth);
  if (known.type === "array") return known.items && depth < 6 ? [example(known.items, depth + 1)] : [];
  if (known.type === "object") {
    const wanted = known.required ?? known.oneOf?.[0].required ?? [];
    return Object.fromEntries(wanted.map((name) => [name, example(known.properties[name], depth + 1)]));
  }
  return { integer: 1, number: 1, boolean: true }[known.type] ?? "";
}

function schemas(operation) {
  const shown = Object.entries(operation.responses).flatMap(([status, answer]) =>
    Object.entries(resolved(answer).content ?? {}).map(([type, { schema }]) =>
      `${status}  ${type}${schema && Object.keys(schema).length ? `\n${JSON.stringify(expanded(schema), null, 2)}` : ""}`));
  const asked = operation.requestBody?.content["application/json"]?.schema;
  if (asked) shown.unshift(`body  application/json\n${JSON.stringify(expanded(asked), null, 2)}`);
  return [made("details", {}, made("summary", { className: "faint", textContent: "Schemas" }), made("pre", { textContent: shown.join("\n\n") }))];
}

const expanded = (schema) => JSON.parse(JSON.stringify(schema), (_, value) => (value?.$ref ? expanded(resolved(value)) : value));
const labelled = (name, about, input) => made("label", {}, made("span", {}, made("code", { textContent: name }), " ", made("span", { className: "faint", textContent: about ?? "" })), input);

async function send(method, path, fields, body, output) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  const headers = new Headers();
  const key = document.getElementById("key").value;
  if (key) headers.set("Authorization", `Bearer ${key}`);
  for (const { parameter, input } of fields) {
    if (!input.value) continue;
    if (parameter.in === "path") url.pathname = decodeURI(url.pathname).replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "header") headers.set(parameter.name, input.value);
    else url.searchParams.set(parameter.name, input.value);
  }
  output.replaceChildren("…");
  try {
    const began = performance.now();
    const answer = await fetch(url, { method, headers, body: body?.value() });
    await show(answer, performance.now() - began, output);
  } catch (error) {
    output.replaceChildren(made("pre", { textContent: String(error) }));
  }
}

async function show(answer, spent, output) {
  const type = answer.headers.get("Content-Type") ?? "";
  const told = [`${answer.status} ${answer.statusText}, ${spent.toFixed(0)} ms`, ...[...answer.headers].map(([name, value]) => `${name}: ${value}`)];
  const blob = await answer.blob();
  let shown = "";
  if (type.startsWith("image/")) {
    const image = made("img", { src: URL.createObjectURL(blob), alt: "the answer" });
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    shown = image;
  } else if (type.includes("json") || type.startsWith("text/")) {
    const text = await blob.text();
    shown = made("pre", { textContent: text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text });
  } else shown = `${blob.size} bytes`;
  output.replaceChildren(made("pre", { textContent: told.join("\n") }), shown);
}
