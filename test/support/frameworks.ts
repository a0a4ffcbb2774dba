import { join } from 'node:path';

/** A Python with the frameworks, made by scripts/frameworks.mjs. */
export const frameworksPython = process.env['SMLT_FRAMEWORKS_PYTHON'] ?? join(__dirname, '..', '..', '.cache', 'frameworks', 'bin', 'python');
