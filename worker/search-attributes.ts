import type { NativeConnection } from '@temporalio/worker';
import { searchAttributes } from '../contracts/search-attributes';

/** Whether the namespace knows all of smlt's search attributes. An unknown one would hang a workflow task for ever, so doubt means no. */
export async function knowsSearchAttributes(connection: NativeConnection, namespace: string): Promise<boolean> {
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return Object.keys(searchAttributes).every((name) => Object.hasOwn(customAttributes ?? {}, name));
  } catch {
    return false;
  }
}
