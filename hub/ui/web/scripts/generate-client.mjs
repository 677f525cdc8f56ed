// Writes src/api/schema.d.ts from the hub's OpenAPI document. With --check it only
// compares, and fails when the committed file is stale.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const document = new URL("../../../api/openapi.json", import.meta.url);
const target = new URL("../src/api/schema.d.ts", import.meta.url);

const head = "// Code generated from hub/api/openapi.json by npm run generate. DO NOT EDIT.\n\n";
const text = head + astToString(await openapiTS(document, { alphabetize: false }));

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error("src/api/schema.d.ts is not what hub/api/openapi.json says: run npm run generate");
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
