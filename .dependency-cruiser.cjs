/** Import boundaries (ARCHITECTURE.md, "Shape"). Each rule says what it protects. */
module.exports = {
  forbidden: [
    {
      name: 'engine-stands-alone',
      comment:
        'The engine runs without HTTP, SQL, timers of a worker or any adapter, so that it can be embedded and so that PostgreSQL and S3 are only new adapters.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: { path: '^src/', pathNot: '^src/engine/' },
    },
    {
      name: 'engine-imports-node-and-zod-only',
      comment: 'A library inside the engine would become a dependency of every program that embeds it.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: {
        dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg'],
        pathNot: 'node_modules/zod/',
      },
    },
    {
      name: 'worker-drives-the-engine-only',
      comment: 'The worker knows time and slots; it must not know SQL, files, sockets or HTTP.',
      severity: 'error',
      from: { path: '^src/worker/' },
      to: { path: '^src/', pathNot: '^src/(worker|engine)/' },
    },
    {
      name: 'http-drives-the-engine-only',
      comment:
        'Routes translate between the wire and the engine; an adapter or the worker behind them may be swapped.',
      severity: 'error',
      from: { path: '^src/http/' },
      to: { path: '^src/', pathNot: '^src/(http|engine)/' },
    },
    {
      name: 'adapters-never-import-each-other',
      comment:
        'An adapter is one choice (SQLite or PostgreSQL, disk or S3); mixing them must stay possible. What databases of SQL have in common lies in adapters/sql/.',
      severity: 'error',
      from: { path: '^src/adapters/([^/]+)/' },
      to: { path: '^src/', pathNot: '^src/(adapters/($1|sql)|engine)/' },
    },
    {
      name: 'tokenizer-in-its-thread-only',
      comment:
        'The tokenizer takes 80 MB, and 0.2 s in which nothing else happens; only a thread of its own may load it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/adapters/tokens/thread\\.ts$' },
      to: {
        path: '(node_modules/gpt-tokenizer/|^src/adapters/tokens/thread\\.ts$)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'only-main-sees-everything',
      comment: 'Composition happens in one place; nothing may import the composition root.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main|service|storage|migrate-data/command)\\.ts$' },
      to: { path: '^src/(main|service|storage|config)\\.ts$' },
    },
    {
      name: 'only-main-moves-data',
      comment: 'The move is a composition root of its own, which the service does without.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main\\.ts|migrate-data/)' },
      to: { path: '^src/migrate-data/' },
    },
    {
      name: 'no-circles',
      comment: 'A circle means that two files are one thought cut in the wrong place.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'src-never-imports-tests',
      comment: 'What ships must not need test helpers.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|examples|scripts)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
  },
};
