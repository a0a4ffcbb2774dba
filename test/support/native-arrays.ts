import { TestEnvironment } from 'jest-environment-node';

/**
 * Jest gives each test file its own globals; a native module such as onnxruntime-node checks arrays against the process's
 * own. A test that runs sessions says `@jest-environment ./test/support/native-arrays.ts`.
 */
export default class NativeArrays extends TestEnvironment {
  override async setup(): Promise<void> {
    await super.setup();
    Object.assign(this.global, {
      ArrayBuffer,
      SharedArrayBuffer,
      Uint8Array,
      Int8Array,
      Uint16Array,
      Int16Array,
      Int32Array,
      Uint32Array,
      Float32Array,
      Float64Array,
      BigInt64Array,
      BigUint64Array,
    });
  }
}
