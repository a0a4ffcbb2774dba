/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  // What needs other frameworks has a command of its own: npm run test:frameworks.
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/frameworks/'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'commonjs' } }] },
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.cache'],
  maxWorkers: 2,
  // A busy machine is no failure.
  testTimeout: 20_000,
};
