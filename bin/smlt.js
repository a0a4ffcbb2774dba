#!/usr/bin/env node
require('./check-node.js');
var fs = require('fs');
var path = require('path');

var main = path.join(__dirname, '..', 'dist', 'client', 'cli', 'main.js');
if (!fs.existsSync(main)) {
  console.error('smlt is not built yet: run `npm run build` in ' + path.join(__dirname, '..') + ', then try again.');
  process.exit(1);
}
require(main).runCli(process.argv);
