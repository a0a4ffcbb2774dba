import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unzip, unzipSync, type Unzipped } from 'fflate';
import { invalidParameter } from './api-error';

/** Lambda's own limits. */
export const MAX_UNPACKED_BYTES = 262_144_000;
export const MAX_CODE_REQUEST_BYTES = 70_167_211;
/** The name under which code that the server already has can be given again instead of its bytes, as S3Bucket with S3Key `<sha256>.zip`. */
export const CODE_BUCKET = 'smlt-local-code';

export interface StoredCode {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Code packages by digest: the zip, and the folder that all instances of all functions with this code share.
 * A folder appears whole or not at all.
 */
export class CodeStore {
  private readonly unpacking = new Map<string, Promise<void>>();

  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.startsWith('tmp-')) rmSync(join(folder, name), { recursive: true, force: true });
  }

  taskRoot(sha256: string): string {
    return join(this.folder, sha256);
  }

  /** The zip as it was uploaded. */
  read(sha256: string): Buffer | undefined {
    const path = join(this.folder, `${sha256}.zip`);
    return /^[0-9a-f]{64}$/.test(sha256) && existsSync(path) ? readFileSync(path) : undefined;
  }

  has(sha256: string): boolean {
    return existsSync(this.taskRoot(sha256)) && existsSync(join(this.folder, `${sha256}.zip`));
  }

  /** Unpacks a zip once a digest. @throws {ApiError} when Lambda would refuse it */
  async put(zip: Uint8Array): Promise<StoredCode> {
    const sha256 = createHash('sha256').update(zip).digest('hex');
    if (!this.has(sha256)) {
      let work = this.unpacking.get(sha256);
      if (!work) {
        work = this.unpack(zip, sha256).finally(() => this.unpacking.delete(sha256));
        this.unpacking.set(sha256, work);
      }
      await work;
    }
    return { sha256, sizeBytes: zip.byteLength };
  }

  /** Code that was stored earlier, by its name in the code bucket. */
  find(bucket: string, key: string): StoredCode {
    const sha256 = /^([0-9a-f]{64})\.zip$/.exec(key)?.[1];
    const zip = bucket === CODE_BUCKET && sha256 !== undefined ? this.read(sha256) : undefined;
    if (sha256 === undefined || zip === undefined || !this.has(sha256)) {
      throw invalidParameter(
        'Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist. ' +
          `The embedded server knows one bucket, ${CODE_BUCKET}: the packages it was given before, as <sha256>.zip`,
      );
    }
    return { sha256, sizeBytes: zip.byteLength };
  }

  /** Removes what no function uses any more. Only while no instance runs. */
  keepOnly(used: ReadonlySet<string>): void {
    for (const name of readdirSync(this.folder)) {
      if (!used.has(name.replace(/\.zip$/, ''))) rmSync(join(this.folder, name), { recursive: true, force: true });
    }
  }

  private async unpack(zip: Uint8Array, sha256: string): Promise<void> {
    checkEntries(zip);
    const aside = join(this.folder, `tmp-${sha256}-${process.pid}`);
    rmSync(aside, { recursive: true, force: true });
    try {
      for (const [name, bytes] of Object.entries(await inflate(zip))) {
        const path = join(aside, name);
        if (name.endsWith('/')) await mkdir(path, { recursive: true });
        else {
          await mkdir(dirname(path), { recursive: true });
          await writeFile(path, bytes);
        }
      }
      if (existsSync(join(aside, 'bootstrap'))) chmodSync(join(aside, 'bootstrap'), 0o755);
      await writeFile(`${aside}.zip`, zip);
      renameSync(`${aside}.zip`, join(this.folder, `${sha256}.zip`));
      rmSync(this.taskRoot(sha256), { recursive: true, force: true });
      renameSync(aside, this.taskRoot(sha256));
    } finally {
      rmSync(aside, { recursive: true, force: true });
      rmSync(`${aside}.zip`, { force: true });
    }
  }
}

const badZip = () => invalidParameter('Could not unzip uploaded file. Please check your file, then try to upload again.');

/** Reads the directory only, so that a zip bomb or a path that leaves the folder is refused before a byte is unpacked. */
function checkEntries(zip: Uint8Array): void {
  let totalBytes = 0;
  const paths: string[] = [];
  try {
    unzipSync(zip, {
      filter: ({ name, originalSize }) => {
        totalBytes += originalSize;
        paths.push(name);
        return false;
      },
    });
  } catch {
    throw badZip();
  }
  if (paths.length === 0) throw invalidParameter('Uploaded file must be a non-empty zip');
  const bad = paths.find((path) => path.startsWith('/') || path.includes('\\') || path.includes('\0') || path.split('/').includes('..'));
  if (bad !== undefined) throw invalidParameter(`The zip entry ${JSON.stringify(bad)} would be written outside of the function's folder`);
  if (totalBytes > MAX_UNPACKED_BYTES) throw invalidParameter(`Unzipped size must be smaller than ${MAX_UNPACKED_BYTES} bytes`);
}

function inflate(zip: Uint8Array): Promise<Unzipped> {
  return new Promise((resolve, reject) => unzip(zip, (error, files) => (error ? reject(badZip()) : resolve(files))));
}
