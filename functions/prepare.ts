import type { PrepareAnswer, PrepareRequest } from '../contracts/functions';
import { names } from '../contracts/names';
import { Program } from '../contracts/program';
import { jsonBytes, jsonOf, sha256Of } from './bytes';
import { Measured } from './compute';
import { DataSet } from './data-set';
import type { World } from './world';

/**
 * Checks model, loss and data against each other, differentiates the model and stores the program under its digest. The
 * same request finds the same program, so it may run twice or in parallel.
 */
export async function prepareProgram(world: World, request: PrepareRequest): Promise<PrepareAnswer> {
  const store = await world.store(request.storeUri);
  const data = await DataSet.open(world, request.dataUri);
  const { program: draft, files, measured } = await world.compute.build({ stores: world, request, data });
  await data.checkAll();
  const digest = digestOf(draft, files);
  const named = (file: string) => names.program(digest, file);
  const allNamed = (files: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(files).map(([samples, file]) => [samples, named(file)]));
  const program = Program.parse({
    ...draft,
    digest,
    trainingGraphs: allNamed(draft.trainingGraphs),
    ...(draft.blockedGraphs && { blockedGraphs: allNamed(draft.blockedGraphs) }),
    forwardGraph: named(draft.forwardGraph),
    initialParams: named(draft.initialParams),
    initialBuffers: named(draft.initialBuffers),
    ...(draft.python && { python: { ...draft.python, files: draft.python.files.map((file) => ({ ...file, object: named(file.object) })) } }),
  });
  for (const [file, bytes] of files) await store.putValue(named(file), bytes);
  // Last: a program that can be read has all its files.
  await store.putValue(named('program.json'), jsonBytes(program));
  // Measured once: whoever prepares the same program again gets the same answer, so that a resumed run finds its stages.
  const { peakMemoryMib, ...timed } = Measured.parse(jsonOf(await store.decide(named('measured.json'), jsonBytes(measured))));
  return {
    programDigest: digest,
    paramCount: program.paramCount,
    bufferCount: program.bufferCount,
    peakMemoryMib: peakMemoryMib ?? program.peakMemoryMib,
    forwardFlopsPerSample: program.forwardFlopsPerSample,
    dataSha256: data.manifest.sha256,
    samples: data.manifest.samples,
    ...timed,
  };
}

function digestOf(draft: unknown, files: ReadonlyMap<string, Uint8Array>): string {
  const parts = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([file, bytes]) => [jsonBytes([file, bytes.byteLength]), bytes]);
  return sha256Of([jsonBytes(draft), ...parts]);
}
