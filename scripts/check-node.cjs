// Loaded before anything else (`node -r`), in syntax that any Node understands, so that an old Node gets
// one clear line and not a syntax error. npm 11 links the Node that the optional dependencies bring;
// npm 10 does not, and then the machine's own Node is what runs.
var parts = process.versions.node.split('.').map(Number);
if (parts[0] < 22 || (parts[0] === 22 && parts[1] < 19)) {
  process.stderr.write(
    'anyllm-batch needs Node.js 22.19 or later; this is ' +
      process.version +
      '. Install a newer Node.js, or run `npm ci` with npm 11 (it brings Node 24 along) and use the npm scripts.\n',
  );
  process.exit(1);
}
