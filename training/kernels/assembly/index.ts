export { add, divide } from './vectors';
export { decodeBf16, decodeFp16, encodeBf16, encodeFp16 } from './halves';
