/** @type {import('jest').Config} */
module.exports = {
  ...require('./jest.config.js'),
  testMatch: ['<rootDir>/test/frameworks/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  // Each test starts an engine and functions of its own: two would share the cores.
  maxWorkers: 1,
};
