import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const rooms = [
  'contracts',
  'scheduler',
  'training',
  'storage',
  'platforms',
  'functions',
  'activities',
  'workflows',
  'worker',
  'client',
  'testing',
  'test',
  'bench',
  'examples',
];

/** The import table: which rooms a room may import. Everything else is refused. `types` may be imported as types only. */
const walls = [
  { room: 'contracts', may: [] },
  { room: 'scheduler', may: ['contracts'] },
  { room: 'training', may: ['contracts'] },
  { room: 'storage', may: ['contracts'] },
  { room: 'platforms', may: ['contracts'] },
  { room: 'functions', may: ['contracts', 'training', 'storage'] },
  { room: 'activities', may: ['contracts', 'scheduler', 'training', 'storage', 'platforms'] },
  { room: 'workflows', may: ['contracts'], types: ['activities'] },
  { room: 'worker', may: ['contracts', 'scheduler', 'training', 'storage', 'platforms', 'functions', 'activities', 'workflows'] },
  { room: 'client', may: ['contracts', 'scheduler', 'training', 'storage', 'platforms', 'workflows', 'worker'] },
];

function wall({ room, may, types = [] }) {
  const closed = rooms.filter((other) => other !== room && !may.includes(other));
  return {
    files: [`${room}/**/*.ts`],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            ...closed.map((other) => ({
              group: [`../${other}/**`, `../../${other}/**`, `../${other}`, `../../${other}`],
              allowTypeImports: types.includes(other),
              message: `${room}/ may not import ${other}/: see the import table in docs/architecture.md.`,
            })),
            ...(['functions', 'scheduler', 'training', 'contracts', 'storage', 'platforms'].includes(room)
              ? [{ group: ['@temporalio/*'], message: `${room}/ knows nothing of Temporal.` }]
              : []),
            ...(['contracts', 'scheduler', 'training', 'workflows'].includes(room)
              ? [{ group: ['node:*', 'fs', 'path', 'crypto', 'http'], message: `${room}/ does no I/O.` }]
              : []),
          ],
        },
      ],
    },
  };
}

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '.cache/**', 'test/**/fixtures/**', '**/assembly/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'preserve-caught-error': 'error',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        require: 'readonly',
        module: 'writable',
        __dirname: 'readonly',
        URL: 'readonly',
        setTimeout: 'readonly',
        Buffer: 'readonly',
        fetch: 'readonly',
      },
    },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  ...walls.map(wall),
  { files: ['training/runtime.ts'], rules: { '@typescript-eslint/no-restricted-imports': 'off' } },
);
