// A client as TypeScript hosts make them, with the SDK's own time-out of 60 seconds, against a run that takes longer.
//
//   node typescript_client.mjs FOLDER VERSION ERA CASE (URL | COMMAND ARGUMENTS...)
//
// FOLDER is where npm has put the SDK, VERSION 1 or 2 of it. Prints one line of JSON: what came of it, in seconds.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, version, era, caseId, target, ...rest] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const base = version === '1' ? '@modelcontextprotocol/sdk/client' : '@modelcontextprotocol/client';
const at = (name) => (version === '1' ? `${base}/${name}.js` : name === 'stdio' ? `${base}/stdio` : base);

const { Client } = await load(at('index'));
const { StreamableHTTPClientTransport } = await load(at('streamableHttp'));
const { StdioClientTransport } = await load(at('stdio'));

const options = era === 'modern' ? { versionNegotiation: { mode: 'auto' } } : {};
const client = new Client({ name: 'outside', version: '1' }, options);
await client.connect(
  target.startsWith('http')
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args: rest, env: process.env }),
);

// The second argument of callTool is a schema in version 1, and the options in version 2.
const call = (name, args, settings) =>
  version === '1'
    ? client.callTool({ name, arguments: args }, undefined, settings)
    : client.callTool({ name, arguments: args }, settings);

const began = Date.now();
const seconds = () => Math.round((Date.now() - began) / 100) / 10;

// First as most hosts do it: with no options at all.
const first = await call('run_case', { case_id: caseId });
const handle = first.structuredContent;
const answered = seconds();

let last = handle;
let calls = 1;
while (last.status === 'running' || last.status === 'pending') {
  last = (await call('get_run', { run_id: handle.run_id })).structuredContent;
  calls += 1;
}
const ended = seconds();

// Then with progress, which starts the time-out anew, and longer than a minute of waiting.
let told = 0;
const settings = { onprogress: () => (told += 1), resetTimeoutOnProgress: true, timeout: 8000 };
const again = await call('run_case', { case_id: caseId, wait_seconds: 30 }, settings);

const transcript = await call('read_transcript', { run_id: handle.run_id });
await call('cancel_run', { run_id: again.structuredContent.run_id });
const protocol = client.getNegotiatedProtocolVersion?.() ?? null;
await client.close();
console.log(
  JSON.stringify({
    handle: handle.status,
    run_id: Boolean(handle.run_id),
    answered,
    calls,
    ended,
    status: last.status,
    told,
    again: again.isError ?? false,
    read: Boolean(transcript.structuredContent.untrusted_turns),
    protocol,
  }),
);
