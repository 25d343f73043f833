// What an editor shows: opens YAML files in the real yaml-language-server, with the schema of `unip schema` in its setting yaml.schemas, and prints its diagnostics, FILE:LINE:COLUMN: message.
// node diagnose.mjs SERVER SCHEMA FILE...   It exits with 1 when there is a diagnostic.
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const [server, schema, ...files] = process.argv.slice(2);
const process_ = spawn(process.execPath, [server, '--stdio'], {stdio: ['pipe', 'pipe', 'inherit']});
const deadline = setTimeout(() => { console.error('the language server did not answer within 60 s'); process_.kill(); process.exit(3); }, 60_000);

let id = 0, buffer = Buffer.alloc(0);
const answers = new Map(), waiting = new Map();
const write = message => {
  const body = Buffer.from(JSON.stringify({jsonrpc: '2.0', ...message}));
  process_.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
  process_.stdin.write(body);
};
const ask = (method, params) => new Promise(done => { answers.set(++id, done); write({id, method, params}); });

process_.stdout.on('data', chunk => {
  buffer = Buffer.concat([buffer, chunk]);
  for (;;) {
    const head = buffer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, head))[1]);
    if (buffer.length < head + 4 + length) return;
    const m = JSON.parse(buffer.subarray(head + 4, head + 4 + length));
    buffer = buffer.subarray(head + 4 + length);
    if (m.method && m.id !== undefined) write({id: m.id, result: m.method === 'workspace/configuration' ? m.params.items.map(i => i.section === 'yaml' ? {schemas: {[pathToFileURL(schema).href]: ['*.yaml']}} : null) : null});
    else if (m.method === 'textDocument/publishDiagnostics') waiting.get(m.params.uri)?.(m.params.diagnostics);
    else if (answers.has(m.id)) answers.get(m.id)(m.result);
  }
});

await ask('initialize', {processId: process.pid, rootUri: null, capabilities: {workspace: {configuration: true}}});
write({method: 'initialized', params: {}});
let found = 0;
for (const file of files) {
  const uri = pathToFileURL(file).href;
  const text = readFileSync(file, 'utf8');
  const diagnostics = await new Promise(done => {
    waiting.set(uri, done);
    write({method: 'textDocument/didOpen', params: {textDocument: {uri, languageId: 'yaml', version: 1, text}}});
  });
  for (const d of diagnostics) {
    found++;
    console.log(`${file}:${d.range.start.line + 1}:${d.range.start.character + 1}: ${d.message.replaceAll('\n', ' ')}`);
  }
}
clearTimeout(deadline);
process_.kill();
process.exit(found ? 1 : 0);
