/**
 * Makes src/lib/api/generated/schema.d.ts from openapi.json; with `--check`, only says whether it is as it would be
 * made now.
 */
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const source = new URL('../openapi.json', import.meta.url);
const target = new URL('../src/lib/api/generated/schema.d.ts', import.meta.url);

const text = await render(JSON.parse(await readFile(source, 'utf8')));
if (!process.argv.includes('--check')) {
  await writeFile(target, text);
} else if ((await readFile(target, 'utf8').catch(() => '')) !== text) {
  console.error('web/src/lib/api/generated/schema.d.ts is not up to date: run `make generate`');
  process.exit(1);
}

async function render(document) {
  // Without names, each operation stands where its path is: handlers of different paths may share a name.
  for (const path of Object.values(document.paths)) {
    for (const operation of Object.values(path)) delete operation.operationId;
  }
  const types = await openapiTS(document, { emptyObjectsUnknown: true, alphabetize: true });
  return `/** Made from openapi.json; do not edit. */\n\n${astToString(types)}`;
}
