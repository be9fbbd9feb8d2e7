// Reads objects of Kubernetes, one JSON document a line with its source before it (NAME<Tab>JSON), and holds each
// against its schema (types, missing fields, by kubernetes-models) and its TypeScript type (unknown fields, words
// that are none). Prints FAULT lines; ends with 1 where there is one. Runs in a folder that has this package's
// modules.
import { readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';

const operator = (version) => version.startsWith('monitoring.coreos.com/');
const moduleOf = ({ apiVersion, kind }) =>
  `${operator(apiVersion) ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}/${kind}`;

const objects = readFileSync(0, 'utf8').trim().split('\n').map((line) => {
  const at = line.indexOf('\t');
  return { source: line.slice(0, at), object: JSON.parse(line.slice(at + 1)) };
});
const faults = [];
const lines = [];
for (const [number, { source, object }] of objects.entries()) {
  const name = `${source}: ${object.kind} ${object.metadata.name}`;
  try {
    const { [object.kind]: Model } = await import(moduleOf(object));
    new Model(structuredClone(object)).validate();
  } catch (error) {
    faults.push(`${name}: ${error.message}`);
  }
  lines.push(`import type { I${object.kind} as T${number} } from ${JSON.stringify(moduleOf(object))};`);
  lines.push(`export const o${number}: T${number} = ${JSON.stringify(object)}; // ${name}`);
}
writeFileSync('objects.ts', `${lines.join('\n')}\n`);
try {
  execFileSync('node_modules/.bin/tsc', ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext',
    '--moduleResolution', 'nodenext', '--target', 'es2022', 'objects.ts'], { encoding: 'utf8' });
} catch (error) {
  for (const told of error.stdout.trim().split('\n')) {
    const place = /^objects\.ts\((\d+),/.exec(told);
    const where = place ? lines[place[1] - 1].split(' // ').pop() : '';
    if (place) faults.push(`${where}: ${told.replace(/^[^:]*: /, '')}`);
    else if (!told.startsWith(' ')) faults.push(told);
  }
}
for (const fault of faults) console.log(`FAULT: ${fault}`);
console.log(`${objects.length} objects, ${faults.length} faults of type`);
process.exit(faults.length === 0 ? 0 : 1);
