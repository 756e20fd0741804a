/** The page that lists the operations of `openapi.json`, each with a form that sends a request. Uses no library. */

/**
 * The part of OpenAPI 3.1 that the service's description uses.
 *
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string} [type]
 * @property {string[]} [enum]
 * @property {Schema[]} [anyOf]
 * @property {Schema[]} [oneOf]
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {(string | number)[]} [examples]
 */

/** @typedef {Record<string, {schema?: Schema}>} Content by media type */

/**
 * @typedef {object} Parameter
 * @property {string} name
 * @property {"path" | "query" | "header"} in
 * @property {string} [description]
 * @property {boolean} [required]
 * @property {Schema} schema
 */

/**
 * @typedef {object} Operation
 * @property {string[]} tags
 * @property {string} summary
 * @property {Parameter[]} parameters
 * @property {{content: Content}} [requestBody]
 * @property {Record<string, {content?: Content, $ref?: string}>} responses
 */

/**
 * @typedef {object} Description
 * @property {{description: string, version: string}} info
 * @property {{name: string, description: string}[]} tags
 * @property {Record<string, Record<string, Operation>>} paths by path and method
 */

/** @typedef {{parameter: Parameter, input: HTMLInputElement | HTMLSelectElement}} Field */
/** @typedef {{labels: HTMLElement[], read: () => File | string | undefined}} BodyFields */

const MAX_CHARACTERS = 20_000; // of a response body that are shown
const MAX_DEPTH = 6; // of an example's nested arrays

/**
 * An element with these properties and children.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {(Node | string)[]} children
 */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Description} */
const description = await (await fetch("openapi.json")).json();
find("about").textContent = `${description.info.description}\n\nVersion ${description.info.version}`;
find("operations").replaceChildren(
  ...description.tags.flatMap(({ name, description: about }) => [
    make("h2", {}, `${name} `, make("small", { textContent: about })),
    ...Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, operation]) => {
        if (!operation.tags.includes(name)) return [];
        const card = make(
          "details",
          {},
          make(
            "summary",
            {},
            make("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
            make("code", { textContent: path }),
            make("span", { className: "faint", textContent: operation.summary }),
          ),
        );
        // Create the form when the card is first opened.
        card.addEventListener("toggle", () => card.open && card.append(makeForm(method, path, operation)), { once: true });
        return [card];
      }),
    ),
  ]),
);

/**
 * The target of a `$ref`; a node without one is returned unchanged.
 *
 * @template {{$ref?: string}} Node
 * @param {Node} node
 * @returns {Node}
 */
function resolve(node) {
  if (!node.$ref) return node;
  const keys = node.$ref.slice(2).split("/");
  return keys.reduce((/** @type {any} */ at, key) => at[key], description);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 */
function makeForm(method, path, operation) {
  const fields = operation.parameters.map((parameter) => ({ parameter, input: makeInput(parameter) }));
  const body = operation.requestBody && makeBody(operation.requestBody.content);
  const output = make("output");
  const form = make(
    "form",
    {},
    ...fields.map(({ parameter, input }) => makeLabel(parameter.name, parameter.description, input)),
    ...(body?.labels ?? []),
    make(
      "details",
      {},
      make("summary", { className: "faint", textContent: "Schemas" }),
      make("pre", { textContent: listSchemas(operation).join("\n\n") }),
    ),
    make("button", { textContent: "Send" }),
    output,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, fields, body, output);
  });
  return form;
}

/** @param {Parameter} parameter */
function makeInput({ schema, required = false }) {
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  if (choices) {
    return make("select", { required }, ...["", ...choices].map((value) => make("option", { value, textContent: value })));
  }
  const isNumber = schema.type === "integer" || schema.type === "number";
  return make("input", {
    required,
    type: isNumber ? "number" : "text",
    step: "any",
    value: required ? String(schema.examples?.[0] ?? "") : "",
    placeholder: schema.examples?.join(", ") ?? "",
  });
}

/**
 * The inputs for a request body: a text area for JSON, a file input for other types, or both.
 *
 * @param {Content} content
 * @returns {BodyFields}
 */
function makeBody(content) {
  const schema = content["application/json"]?.schema;
  const text = schema && make("textarea", { spellcheck: false, value: JSON.stringify(makeExample(schema), null, 2) });
  const accept = Object.keys(content).filter((type) => type.startsWith("image/"));
  const file = make("input", { type: "file", accept: accept.join() });
  const labels = [];
  if (text) labels.push(makeLabel("body", "application/json", text));
  if (!text || content["application/octet-stream"]) {
    labels.push(makeLabel("file", text ? "sent unchanged, instead of JSON" : "sent unchanged", file));
  }
  return { labels, read: () => file.files?.[0] ?? text?.value };
}

/**
 * @param {string} name
 * @param {string | undefined} about
 * @param {HTMLElement} input
 */
function makeLabel(name, about, input) {
  const code = make("code", { textContent: name });
  return make("label", {}, make("span", {}, code, " ", make("span", { className: "faint", textContent: about ?? "" })), input);
}

/**
 * A minimal example value for a schema.
 *
 * @param {Schema} schema
 * @returns {unknown}
 */
function makeExample(schema, depth = 0) {
  const known = resolve(schema);
  if (known.enum) return known.enum.at(known.enum[0] === "" ? 1 : 0);
  if (known.anyOf) return makeExample(known.anyOf[0], depth);
  if (known.type === "array") return known.items && depth < MAX_DEPTH ? [makeExample(known.items, depth + 1)] : [];
  if (known.type === "object") {
    const { required, oneOf, properties = {} } = known;
    const names = required ?? oneOf?.[0].required ?? [];
    return Object.fromEntries(names.map((name) => [name, makeExample(properties[name], depth + 1)]));
  }
  /** @type {Record<string, unknown>} */
  const examples = { integer: 1, number: 1, boolean: true };
  return examples[known.type ?? ""] ?? "";
}

/**
 * The schemas of an operation's request body and responses, as text.
 *
 * @param {Operation} operation
 */
function listSchemas(operation) {
  /** @type {(schema: Schema) => Schema} replaces references by their targets */
  const expand = (schema) => JSON.parse(JSON.stringify(schema), (_, value) => (value?.$ref ? expand(resolve(value)) : value));
  /** @type {(title: string, schema: Schema | undefined) => string} */
  const write = (title, schema) =>
    schema && Object.keys(schema).length ? `${title}\n${JSON.stringify(expand(schema), null, 2)}` : title;
  const body = operation.requestBody?.content["application/json"]?.schema;
  const responses = Object.entries(operation.responses).flatMap(([status, response]) =>
    Object.entries(resolve(response).content ?? {}).map(([type, { schema }]) => write(`${status}  ${type}`, schema)),
  );
  return body ? [write("body  application/json", body), ...responses] : responses;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Field[]} fields
 * @param {BodyFields | undefined} body
 * @param {HTMLOutputElement} output shows the response
 */
async function send(method, path, fields, body, output) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  const headers = new Headers();
  const { value: key } = /** @type {HTMLInputElement} */ (find("key"));
  if (key) headers.set("Authorization", `Bearer ${key}`);
  for (const { parameter, input } of fields) {
    if (!input.value) continue;
    if (parameter.in === "path") {
      url.pathname = decodeURI(url.pathname).replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    } else if (parameter.in === "header") headers.set(parameter.name, input.value);
    else url.searchParams.set(parameter.name, input.value);
  }
  output.replaceChildren("…");
  try {
    const began = performance.now();
    const response = await fetch(url, { method, headers, body: body?.read() });
    const spent = performance.now() - began;
    const type = response.headers.get("Content-Type") ?? "";
    const head = [
      `${response.status} ${response.statusText}, ${spent.toFixed(0)} ms`,
      ...[...response.headers].map(([name, value]) => `${name}: ${value}`),
    ];
    const blob = await response.blob();
    /** @type {Node | string} */
    let shown = `${blob.size} bytes`;
    if (type.startsWith("image/")) {
      const image = make("img", { src: URL.createObjectURL(blob), alt: "response body" });
      image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
      shown = image;
    } else if (type.includes("json") || type.startsWith("text/")) {
      const text = await blob.text();
      shown = make("pre", { textContent: text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text });
    }
    output.replaceChildren(make("pre", { textContent: head.join("\n") }), shown);
  } catch (error) {
    output.replaceChildren(make("pre", { textContent: String(error) }));
  }
}
