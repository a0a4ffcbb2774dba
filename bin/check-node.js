#!/usr/bin/env node
// Plain old JavaScript on purpose: a Node that is too old must be able to read this file to say so.
var parts = process.versions.node.split('.');
var major = Number(parts[0]);
var minor = Number(parts[1]);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error('smlt needs Node.js 20.19 or newer, and this is ' + process.versions.node + ' (' + process.execPath + ').');
  console.error('Get a current one from https://nodejs.org, or with a version manager: `nvm install 22`, `fnm install 22`.');
  process.exit(1);
}
