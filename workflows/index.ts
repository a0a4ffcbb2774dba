/** The stages, each a workflow of its own and startable alone, and the pieces that users compose in their own workflows. */
export { pipeline } from './pipeline';
export { profile } from './profile';
export { tune } from './tune';
export { train } from './train';
export { evaluate } from './evaluate';
export { deploy } from './deploy';
export { cleanup } from './cleanup';
