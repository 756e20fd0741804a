import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { advance, FakeElement, FakeHtmlElement, FakeInput, installBrowser, until } from "./fakes.js";

const document = installBrowser();

/** A description with each part of OpenAPI that the service's description uses. */
const DESCRIPTION = {
  info: { description: "Masks of people", version: "9.9" },
  tags: [{ name: "masks", description: "ours" }, { name: "inference", description: "theirs" }],
  paths: {
    "/v1/mattes": {
      post: {
        tags: ["masks"],
        summary: "A frame's mask",
        parameters: [
          { name: "format", in: "query", description: "of the mask", schema: { type: "string", enum: ["png", "svg"] } },
          { name: "soft", in: "query", schema: { type: "boolean" } },
          { name: "threshold", in: "query", schema: { type: "number", examples: [0.5, 0.7] } },
          { name: "X-Request-Id", in: "header", schema: { type: "string" } },
        ],
        requestBody: { content: { "image/jpeg": {}, "image/png": {}, "application/octet-stream": {} } },
        responses: { 200: { content: { "image/png": {} } }, 422: { $ref: "#/components/responses/refused" } },
      },
    },
    "/v2/models/{name}": {
      get: {
        tags: ["inference"],
        summary: "What a model takes",
        parameters: [{ name: "name", in: "path", required: true, schema: { type: "string", examples: ["deeplab"] } }],
        responses: { 200: { content: { "application/json": { schema: { $ref: "#/components/schemas/tensor" } } } } },
      },
      post: {
        tags: ["inference"],
        summary: "A tensor",
        parameters: [{ name: "name", in: "path", required: true, schema: { type: "string", examples: ["deeplab"] } }],
        requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/request" } }, "application/octet-stream": {} } },
        responses: { 200: {} },
      },
    },
  },
  components: {
    responses: { refused: { content: { "application/json": { schema: { type: "object", properties: { error: { type: "string" } } } } } } },
    schemas: {
      tensor: { type: "object", required: ["name", "shape"], properties: { name: { type: "string" }, shape: { type: "array", items: { type: "integer" } } } },
      request: {
        type: "object",
        required: ["inputs", "label", "kind", "flag"],
        properties: {
          inputs: { type: "array", items: { $ref: "#/components/schemas/tensor" } },
          label: { anyOf: [{ type: "number" }, { type: "string" }] },
          kind: { type: "string", enum: ["", "FP32"] },
          flag: { type: "boolean" },
          spare: { type: "string" },
        },
      },
      either: { type: "object", oneOf: [{ required: ["a"] }], properties: { a: { type: "array" } } },
    },
  },
};

const requests = [];
let answer = () => new Response("");

const page = new FakeHtmlElement("body");
for (const id of ["about", "operations", "key"]) page.append(Object.assign(new (id === "key" ? FakeInput : FakeHtmlElement)(), { id }));
document.body = page;
globalThis.fetch = async (url, init) => {
  if (url === "openapi.json") return Response.json(DESCRIPTION);
  requests.push({ url: String(url), ...init });
  return answer();
};
URL.createObjectURL = (blob) => `blob:${blob.type}`;
URL.revokeObjectURL = mock.fn();
await import("../../../service/danmatte/web/docs.js");

const [about, operations, key] = page.children;

beforeEach(() => {
  requests.length = 0;
  key.value = "";
  answer = () => new Response("");
});

/** The opened card of an operation: its parts by name. */
function open(method, path) {
  const card = operations.children.find((element) => {
    const [first, code] = element.children[0]?.children ?? [];
    return first?.textContent === method.toUpperCase() && code?.textContent === path;
  });
  card.open = true;
  card.emit("toggle");
  const form = card.all("form")[0];
  const fields = Object.fromEntries(form.all("label").map((label) => [label.all("code")[0].textContent, label.children.at(-1)]));
  return { card, form, fields, output: form.all("output")[0], schemas: form.all("pre")[0].textContent };
}

/** Submits the form and returns the request, after its response has arrived. */
async function send({ form, output }) {
  const before = requests.length;
  form.emit("submit");
  await until(() => requests.length > before && output.textContent !== "…", "an answer");
  return requests.at(-1);
}

test("operations are listed by tag", () => {
  assert.equal(about.textContent, "Masks of people\n\nVersion 9.9");
  assert.deepEqual(operations.children.map(({ tag }) => tag), ["h2", "details", "h2", "details", "details"]);
  assert.deepEqual(operations.all("h2").map(({ textContent }) => textContent), ["masks ours", "inference theirs"]);
  assert.deepEqual(operations.all("summary").map(({ textContent }) => textContent), [
    "POST/v1/mattesA frame's mask",
    "GET/v2/models/{name}What a model takes",
    "POST/v2/models/{name}A tensor",
  ]);
});

test("a form is created once, when its card is first opened", () => {
  const card = operations.children[1];
  card.open = false;
  assert.equal(card.all("form").length, 0);
  const { card: opened } = open("post", "/v1/mattes");
  assert.equal(opened, card);
  card.emit("toggle");
  assert.equal(card.all("form").length, 1);
});

test("each type of parameter has a suitable field", () => {
  const { fields } = open("post", "/v1/mattes");
  assert.deepEqual(fields.format.all("option").map(({ value }) => value), ["", "png", "svg"]);
  assert.deepEqual(fields.soft.all("option").map(({ value }) => value), ["", "true", "false"]);
  const { type, step, value, placeholder } = fields.threshold;
  assert.deepEqual([type, step, value, placeholder], ["number", "any", "", "0.5, 0.7"]);
  assert.equal(fields["X-Request-Id"].type, "text");
  assert.equal(fields.threshold.required, false);
});

test("required fields are filled in with the first example", () => {
  const { fields } = open("get", "/v2/models/{name}");
  assert.deepEqual([fields.name.value, fields.name.required], ["deeplab", true]);
});

test("a picture is chosen as a file of the accepted types", () => {
  const { fields } = open("post", "/v1/mattes");
  assert.deepEqual([fields.file.type, fields.file.accept], ["file", "image/jpeg,image/png"]);
  assert.equal(fields.body, undefined);
});

test("a JSON body has an example with exactly the required fields", () => {
  const { fields } = open("post", "/v2/models/{name}");
  assert.deepEqual(JSON.parse(fields.body.value), { inputs: [{ name: "", shape: [1] }], label: 1, kind: "FP32", flag: true });
  assert.ok(fields.file, "or a file with raw bytes");
});

test("schemas are shown with their references resolved", () => {
  const { schemas } = open("get", "/v2/models/{name}");
  assert.match(schemas, /^200 {2}application\/json\n/);
  assert.deepEqual(JSON.parse(schemas.slice(schemas.indexOf("\n"))), DESCRIPTION.components.schemas.tensor);
  const mattes = open("post", "/v1/mattes").schemas;
  assert.match(mattes, /200 {2}image\/png\n\n422 {2}application\/json\n/);
  assert.match(open("post", "/v2/models/{name}").schemas, /^body {2}application\/json\n\{[^]*"shape"/);
});

test("fields are sent in path, query or header, and empty ones are left out", async () => {
  const parts = open("post", "/v1/mattes");
  Object.assign(parts.fields.format, { value: "svg" });
  Object.assign(parts.fields["X-Request-Id"], { value: "7" });
  parts.fields.file.files = [];
  const { url, method, headers, body } = await send(parts);
  assert.deepEqual([url, method, body], ["http://test/v1/mattes?format=svg", "post", undefined]);
  assert.equal(headers.get("X-Request-Id"), "7");
  const named = open("get", "/v2/models/{name}");
  named.fields.name.value = "a/b c";
  assert.equal((await send(named)).url, "http://test/v2/models/a%2Fb%20c");
});

test("submitting a form doesn't leave the page", () => {
  const { form } = open("get", "/v2/models/{name}");
  assert.ok(form.emit("submit").defaultPrevented);
});

test("the API key is sent with every request if one is given", async () => {
  const parts = open("get", "/v2/models/{name}");
  assert.equal((await send(parts)).headers.get("Authorization"), null);
  key.value = "secret";
  assert.equal((await send(parts)).headers.get("Authorization"), "Bearer secret");
});

test("the body is the chosen file or otherwise the text", async () => {
  const parts = open("post", "/v2/models/{name}");
  parts.fields.file.files = [];
  parts.fields.body.value = '{"inputs": []}';
  assert.equal((await send(parts)).body, '{"inputs": []}');
  const file = new Blob(["bytes"]);
  parts.fields.file.files = [file];
  assert.equal((await send(parts)).body, file);
});

test("a response is shown with status, time and headers", async () => {
  const parts = open("get", "/v2/models/{name}");
  answer = () => {
    advance(42);
    return new Response('{"name": "toy"}', { status: 404, statusText: "Not Found", headers: { "Content-Type": "application/json", "X-Model-Version": "3" } });
  };
  await send(parts);
  const [head, body] = parts.output.all("pre").map(({ textContent }) => textContent);
  assert.equal(head, "404 Not Found, 42 ms\ncontent-type: application/json\nx-model-version: 3");
  assert.equal(body, '{"name": "toy"}');
});

test("a mask is shown as a picture and its URL is revoked", async () => {
  const parts = open("get", "/v2/models/{name}");
  answer = () => new Response("png", { headers: { "Content-Type": "image/png" } });
  await send(parts);
  const [image] = parts.output.all("img");
  assert.deepEqual([image.src, image.alt], ["blob:image/png", "response body"]);
  image.emit("load");
  assert.deepEqual(URL.revokeObjectURL.mock.calls.at(-1).arguments, ["blob:image/png"]);
});

test("a long text is shortened and bytes are counted", async () => {
  const parts = open("get", "/v2/models/{name}");
  answer = () => new Response("x".repeat(20_001), { headers: { "Content-Type": "text/plain" } });
  await send(parts);
  assert.equal(parts.output.all("pre")[1].textContent.length, 20_001);
  assert.ok(parts.output.textContent.endsWith("x…"));
  answer = () => new Response(new Uint8Array(7), { headers: { "Content-Type": "application/octet-stream" } });
  await send(parts);
  assert.ok(parts.output.textContent.endsWith("7 bytes"));
});

test("an unreachable server is reported", async () => {
  const parts = open("get", "/v2/models/{name}");
  answer = () => {
    throw new TypeError("Failed to fetch");
  };
  await send(parts);
  assert.equal(parts.output.textContent, "TypeError: Failed to fetch");
});

test("markup in a response is shown as text", async () => {
  const parts = open("get", "/v2/models/{name}");
  answer = () => new Response("<img onerror=alert(1)>", { headers: { "Content-Type": "text/html" } });
  await send(parts);
  assert.equal(parts.output.all("img").length, 0);
  assert.ok(parts.output.children.every((child) => child instanceof FakeElement));
  assert.match(parts.output.textContent, /<img onerror/);
});
